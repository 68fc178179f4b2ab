#include "setup/export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"
#include "setup/bundle.h"
#include "setup/ca.h"
#include "setup/claim.h"
#include "setup/hashed_directory.h"
#include "setup/trust_env.h"
#include "setup/truststore.h"

struct export
{
    const struct config *config;
    int directory;
    STACK_OF(X509) * roots; /* of the CA, the current one first */
    struct bundle *bundle;
};

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
    return directory;
}

/* Takes data over; NULL data means that it could not be made, and error has why. */
static int write_file(const struct export *export, const char *name, void *data, size_t size,
                      struct error *error)
{
    char path[PATH_MAX];
    if (data == NULL)
        return error_prefix(error, "%s", name);
    snprintf(path, sizeof(path), "%.3900s/%s", export->config->export_dir, name);
    int result = file_update(export->directory, name, data, size, 0644, path, error);
    free(data);
    return result;
}

static int write_certificates(const struct export *export, const char *name,
                              const STACK_OF(X509) * certificates, struct error *error)
{
    size_t size = 0;
    char *pem = certificates_to_pem(certificates, &size, error);
    return write_file(export, name, pem, size, error);
}

/* The system's roots, those that mitmdump is told to trust (a host that is passed through shows its
 * own certificate), and the CA's. */
static int fill_bundle(struct export *export, const char *pem, size_t size, struct error *error)
{
    const char *trust_dir = export->config->upstream_trust_dir;
    export->bundle = bundle_new();
    if (export->bundle == NULL)
        return error_set(error, 1, EXPORT_BUNDLE ": out of memory");
    size_t found = bundle_add_system_roots(export->bundle);
    found += bundle_add_directory(export->bundle, trust_dir);
    if (found == 0)
        log_warn("no root certificates found on this system or in %s: " EXPORT_BUNDLE
                 " holds the CA alone",
                 trust_dir);
    bundle_add_pem(export->bundle, pem, size);
    return 0;
}

static int write_current_root(const struct export *export, char sha256[static STATE_SHA256_SIZE],
                              struct error *error)
{
    STACK_OF(X509) *current = sk_X509_new_null();
    sk_X509_push(current, sk_X509_value(export->roots, 0));
    certificate_sha256(sk_X509_value(current, 0), sha256);
    int result = write_certificates(export, EXPORT_CERTIFICATE, current, error);
    sk_X509_free(current);
    return result;
}

static int write_bundles(const struct export *export, struct error *error)
{
    char path[PATH_MAX];
    size_t size = 0;
    const STACK_OF(X509) *all = bundle_certificates(export->bundle);
    snprintf(path, sizeof(path), "%.3900s/" EXPORT_HASHED, export->config->export_dir);
    if (write_certificates(export, EXPORT_BUNDLE, all, error) != 0 ||
        hashed_directory_write(export->directory, EXPORT_HASHED, all, path, error) != 0)
        return -1;
    unsigned char *truststore = truststore_make(all, &size, error);
    return write_file(export, EXPORT_TRUSTSTORE, truststore, size, error);
}

static int write_environment(const struct export *export, struct error *error)
{
    size_t size = 0;
    const char *mount = export->config->export_mount;
    char *environment = trust_env_make(mount, &size, error);
    if (write_file(export, EXPORT_ENVIRONMENT, environment, size, error) != 0)
        return -1;
    char *wgetrc = wgetrc_make(mount, &size, error);
    return write_file(export, EXPORT_WGETRC, wgetrc, size, error);
}

int export_roots(const struct config *config, const char *pem, size_t size,
                 char sha256[static STATE_SHA256_SIZE], struct error *error)
{
    struct export export = {.config = config, .directory = -1};
    int result = -1;
    export.roots = certificates_from_pem(pem, size, error);
    if (export.roots == NULL || sk_X509_num(export.roots) == 0)
        goto out;
    export.directory = open_export_directory(config, error);
    if (export.directory < 0 || fill_bundle(&export, pem, size, error) != 0)
        goto out;
    if (write_current_root(&export, sha256, error) == 0 &&
        write_certificates(&export, EXPORT_ROOTS, export.roots, error) == 0 &&
        write_bundles(&export, error) == 0 && write_environment(&export, error) == 0)
        result = 0;
out:
    bundle_free(export.bundle);
    sk_X509_pop_free(export.roots, X509_free);
    if (export.directory >= 0)
        close(export.directory);
    return result;
}
