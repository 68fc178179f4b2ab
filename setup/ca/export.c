#include "setup/ca/export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"
#include "setup/ca/bundle.h"
#include "setup/ca/hashed_directory.h"
#include "setup/ca/trust_env.h"
#include "setup/ca/truststore.h"
#include "setup/claim.h"

enum { ROOTS_MAX_BYTES = 256 * 1024 };

/* Ours, or a temporary file of ours. mitmscripts is in the default export directory, where the
 * image has its addons. */
static bool is_exported_file(const char *name)
{
    static const char *const names[] = {EXPORT_CERTIFICATE, EXPORT_ROOTS,  EXPORT_BUNDLE,
                                        EXPORT_TRUSTSTORE,  EXPORT_HASHED, EXPORT_ENVIRONMENT,
                                        EXPORT_WGETRC,      "mitmscripts"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0 ||
            (name[0] == '.' && strncmp(name + 1, names[i], strlen(names[i])) == 0))
            return true;
    return false;
}

static int open_export_directory(const struct config *config, struct error *error)
{
    const struct claim claim = {
        .what = "export directory",
        .variable = "EXPORT_DIR",
        .path = config->export_dir,
        .uid = (uid_t)-1,
        .gid = (gid_t)-1,
        .mode = 0755,
        .is_ours = is_exported_file,
    };
    int directory = directory_make(config->export_dir, 0755, error);
    if (directory < 0)
        return error_prefix(error, "export directory");
    if (claim_directory(directory, &claim, error) != 0) {
        close(directory);
        return -1;
    }
    directory_clean(directory);
    return directory;
}

/* Takes data over; NULL data means that it could not be made, and error has why. */
static int write_file(const struct exports *exports, const char *name, void *data, size_t size,
                      struct error *error)
{
    char path[PATH_MAX];
    if (data == NULL)
        return error_prefix(error, "%s", name);
    snprintf(path, sizeof(path), "%.3900s/%s", exports->config->export_dir, name);
    const struct file_content content = {path, data, size, 0644, true};
    int result = file_update(exports->directory, name, &content, error);
    free(data);
    return result;
}

static int write_certificates(const struct exports *exports, const char *name,
                              const STACK_OF(X509) * certificates, struct error *error)
{
    size_t size = 0;
    char *pem = certificates_to_pem(certificates, &size, error);
    return write_file(exports, name, pem, size, error);
}

/* The system's roots, those that mitmdump is told to trust (a host that is passed through shows its
 * own certificate), and the CA's. */
static int fill_bundle(struct exports *exports, struct error *error)
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

static int write_bundles(const struct exports *exports, struct error *error)
{
    char path[PATH_MAX];
    size_t size = 0;
    const STACK_OF(X509) *all = bundle_certificates(exports->bundle);
    snprintf(path, sizeof(path), "%.3900s/" EXPORT_HASHED, exports->config->export_dir);
    if (write_certificates(exports, EXPORT_BUNDLE, all, error) != 0 ||
        hashed_directory_write(exports->directory, EXPORT_HASHED, all, path, error) != 0)
        return -1;
    unsigned char *truststore = truststore_make(all, &size, error);
    return write_file(exports, EXPORT_TRUSTSTORE, truststore, size, error);
}

static int write_environment(const struct exports *exports, struct error *error)
{
    size_t size = 0;
    const char *mount = exports->config->export_mount;
    char *environment = trust_env_make(mount, &size, error);
    if (write_file(exports, EXPORT_ENVIRONMENT, environment, size, error) != 0)
        return -1;
    char *wgetrc = wgetrc_make(mount, &size, error);
    return write_file(exports, EXPORT_WGETRC, wgetrc, size, error);
}

/* What an earlier run has exported. Of a damaged file the certificates that are whole count. The
 * confdir is not asked: the mitmproxy user could have put anything there. */
static int read_known_roots(struct exports *exports, const STACK_OF(X509) * other_roots,
                            struct error *error)
{
    const struct file_limits limits = {.max_size = ROOTS_MAX_BYTES, .owner = geteuid()};
    struct error ignored;
    size_t size;
    struct bundle *known = bundle_new();
    bool added = known != NULL;
    for (int i = 0; added && i < sk_X509_num(other_roots); i++)
        added = bundle_add(known, sk_X509_value(other_roots, i)) == 0;
    char *pem = file_read(exports->directory, EXPORT_ROOTS, &limits, EXPORT_ROOTS, &size, &ignored);
    if (added && pem != NULL)
        bundle_add_pem(known, pem, size, EXPORT_ROOTS);
    free(pem);
    if (added)
        exports->known = X509_chain_up_ref(bundle_certificates(known));
    bundle_free(known);
    return exports->known != NULL ? 0 : error_set(error, 1, EXPORT_ROOTS ": out of memory");
}

int export_open(struct exports *exports, const struct config *config,
                const STACK_OF(X509) * other_roots, struct error *error)
{
    struct statvfs volume;
    *exports = (struct exports){.config = config};
    exports->directory = open_export_directory(config, error);
    if (exports->directory < 0)
        return -1;
    exports->read_only =
        fstatvfs(exports->directory, &volume) == 0 && (volume.f_flag & ST_RDONLY) != 0;
    if (read_known_roots(exports, other_roots, error) == 0)
        return 0;
    close(exports->directory);
    return -1;
}

void export_close(struct exports *exports)
{
    bundle_free(exports->bundle);
    sk_X509_pop_free(exports->roots, X509_free);
    sk_X509_pop_free(exports->known, X509_free);
    close(exports->directory);
}

static int write_all(const struct exports *exports, char sha256[static STATE_SHA256_SIZE],
                     struct error *error)
{
    if (write_current_root(exports, sha256, error) != 0 ||
        write_certificates(exports, EXPORT_ROOTS, exports->roots, error) != 0 ||
        write_bundles(exports, error) != 0)
        return -1;
    return write_environment(exports, error);
}

/* The CA's root is there already. */
static int add_known_roots(struct exports *exports, struct error *error)
{
    for (int i = 0; i < sk_X509_num(exports->known); i++) {
        X509 *root = sk_X509_value(exports->known, i);
        if (!certificate_has_expired(root) &&
            X509_add_cert(exports->roots, root, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP) != 1)
            return error_set(error, 1, EXPORT_ROOTS ": out of memory");
    }
    return 0;
}

int export_roots(struct exports *exports, const char *pem, size_t size,
                 char sha256[static STATE_SHA256_SIZE], struct error *error)
{
    exports->roots = certificates_from_pem(pem, size, error);
    if (exports->roots == NULL || add_known_roots(exports, error) != 0)
        return -1;
    return fill_bundle(exports, error) == 0 ? write_all(exports, sha256, error) : -1;
}
