#include "setup/trust/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/files/files.h"
#include "setup/trust/bundle.h"
#include "setup/trust/certs_directory.h"
#include "setup/trust/export_names.h"
#include "setup/trust/texts.h"
#include "setup/trust/truststore.h"
#include "setup/x509/ca.h"

/* The export directory, and what goes there. */
struct exports {
    const struct config *config;
    int directory;
    STACK_OF(X509) * roots; /* of ours: the current one first */
    struct bundle *bundle;
};

static int write_file(const struct exports *exports, const char *name, const void *data,
                      size_t size, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.3900s/%s", exports->config->export_dir, name);
    const struct file_content content = {path, data, size, 0644, true};
    return file_update(exports->directory, name, &content, error);
}

static int write_certificates(const struct exports *exports, const char *name,
                              const STACK_OF(X509) * certificates, struct error *error)
{
    size_t size = 0;
    char *pem = certificates_to_pem(certificates, &size, error);
    if (pem == NULL)
        return error_prefix(error, "%s", name);
    int result = write_file(exports, name, pem, size, error);
    free(pem);
    return result;
}

/* Adds the system's roots and those that mitmdump trusts: a host that is passed through shows its
 * own certificate. */
static int add_others_roots(struct exports *exports, struct error *error)
{
    const char *trust_dir = exports->config->upstream_trust_dir;
    exports->bundle = bundle_new();
    if (exports->bundle == NULL)
        return error_set(error, 1, EXPORT_BUNDLE ": out of memory");
    size_t found = bundle_add_system_roots(exports->bundle);
    found += bundle_add_directory(exports->bundle, trust_dir);
    if (found == 0)
        log_warn("no root certificates found on this system or in %s: " EXPORT_BUNDLE
                 " holds the CA alone",
                 trust_dir);
    return 0;
}

static int add_own_roots(struct exports *exports, struct error *error)
{
    for (int i = 0; i < sk_X509_num(exports->roots); i++)
        if (bundle_add(exports->bundle, sk_X509_value(exports->roots, i)) != 0)
            return error_set(error, 1, EXPORT_BUNDLE ": out of memory");
    return 0;
}

static int write_current_root(const struct exports *exports, char sha256[static STATE_SHA256_SIZE],
                              struct error *error)
{
    STACK_OF(X509) *current = sk_X509_new_null();
    sk_X509_push(current, sk_X509_value(exports->roots, 0));
    certificate_sha256(sk_X509_value(current, 0), sha256);
    int result = write_certificates(exports, EXPORT_CERTIFICATE, current, error);
    sk_X509_free(current);
    return result;
}

/* The bundle in all its forms. */
static int write_bundles(const struct exports *exports, struct error *error)
{
    char path[PATH_MAX];
    const STACK_OF(X509) *all = bundle_certificates(exports->bundle);
    struct certs_directory certs = {.path = path, .certificates = all};
    snprintf(path, sizeof(path), "%.3900s/" EXPORT_CERTS, exports->config->export_dir);
    char *pem = certificates_to_pem(all, &certs.bundle_size, error);
    unsigned char *truststore =
        pem != NULL ? truststore_make(all, &certs.truststore_size, error) : NULL;
    certs.bundle = pem;
    certs.truststore = truststore;
    int result = -1;
    if (truststore == NULL)
        error_prefix(error, "%s", pem == NULL ? EXPORT_BUNDLE : EXPORT_TRUSTSTORE);
    else if (write_file(exports, EXPORT_BUNDLE, pem, certs.bundle_size, error) == 0 &&
             write_file(exports, EXPORT_TRUSTSTORE, truststore, certs.truststore_size, error) == 0)
        result = certs_directory_write(exports->directory, &certs, error);
    free(truststore);
    free(pem);
    return result;
}

static int write_texts(const struct exports *exports, struct error *error)
{
    for (size_t i = 0; i < text_count; i++) {
        const char *name = text_names[i];
        size_t size = 0;
        char *text = text_make(name, exports->config->export_mount, &size, error);
        if (text == NULL)
            return error_prefix(error, "%s", name);
        int result = write_file(exports, name, text, size, error);
        free(text);
        if (result != 0)
            return -1;
    }
    return 0;
}

static int write_all(const struct exports *exports, char sha256[static STATE_SHA256_SIZE],
                     struct error *error)
{
    if (write_current_root(exports, sha256, error) != 0 ||
        write_certificates(exports, EXPORT_ROOTS, exports->roots, error) != 0 ||
        write_bundles(exports, error) != 0)
        return -1;
    return write_texts(exports, error);
}

/* Reads the roots from in. NULL with error if there are none. The caller frees them. */
static STACK_OF(X509) * read_roots(int in, struct error *error)
{
    size_t size = 0;
    char *pem = file_read_open(in, ROOTS_MAX_BYTES, "the CA's roots", &size, error);
    STACK_OF(X509) *roots = pem != NULL ? certificates_from_pem(pem, size, error) : NULL;
    free(pem);
    if (roots == NULL || sk_X509_num(roots) > 0)
        return roots;
    sk_X509_free(roots);
    error_set(error, 1, "the CA has no roots");
    return NULL;
}

/* Adds the roots that an earlier run has exported, in their old order; of a damaged file, those
 * that are whole. The confdir is not read: the mitmproxy user could have put anything there. */
static int add_known_roots(const struct exports *exports, struct error *error)
{
    const struct file_limits limits = {.max_size = ROOTS_MAX_BYTES, .owner = geteuid()};
    struct error ignored;
    size_t size = 0;
    char *pem = file_read(exports->directory, EXPORT_ROOTS, &limits, EXPORT_ROOTS, &size, &ignored);
    struct bundle *known = bundle_new();
    bool added = known != NULL;
    if (added && pem != NULL)
        bundle_add_pem(known, pem, size, EXPORT_ROOTS);
    if (added)
        added = X509_add_certs(exports->roots, bundle_certificates(known),
                               X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP) == 1;
    bundle_free(known);
    free(pem);
    return added ? 0 : error_set(error, 1, EXPORT_ROOTS ": out of memory");
}

/* The current root, the first, stays: it has been checked. */
static void drop_expired_roots(const struct exports *exports)
{
    for (int i = sk_X509_num(exports->roots) - 1; i > 0; i--)
        if (certificate_has_expired(sk_X509_value(exports->roots, i)))
            X509_free(sk_X509_delete(exports->roots, i));
}

static int collect_roots(struct exports *exports, int in, struct error *error)
{
    if (add_others_roots(exports, error) != 0)
        return -1;
    exports->roots = read_roots(in, error);
    if (exports->roots == NULL || add_known_roots(exports, error) != 0)
        return -1;
    drop_expired_roots(exports);
    return add_own_roots(exports, error);
}

int export_roots(const struct config *config, int directory, int in,
                 char sha256[static STATE_SHA256_SIZE], struct error *error)
{
    struct exports exports = {.config = config, .directory = directory};
    int result = collect_roots(&exports, in, error);
    if (result == 0)
        result = write_all(&exports, sha256, error);
    bundle_free(exports.bundle);
    sk_X509_pop_free(exports.roots, X509_free);
    return result;
}
