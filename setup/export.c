#include "setup/export.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"
#include "setup/bundle.h"
#include "setup/ca.h"
#include "setup/claim.h"

/* mitmscripts is in the default export directory, where the image has its addons. */
static bool is_exported_file(const char *name)
{
    return strcmp(name, EXPORT_CERTIFICATE) == 0 || strcmp(name, EXPORT_BUNDLE) == 0 ||
           strcmp(name, "mitmscripts") == 0 || strncmp(name, "." EXPORT_CERTIFICATE, 22) == 0 ||
           strncmp(name, "." EXPORT_BUNDLE, 27) == 0;
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

static int write_file(const struct config *config, int directory, const char *name,
                      const char *data, size_t size, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.3900s/%s", config->export_dir, name);
    return file_update(directory, name, data, size, 0644, path, error);
}

/* The system's roots, those that mitmdump is told to trust (a host that is passed through shows its
 * own certificate), and the CA. */
static int write_bundle(const struct config *config, int directory, const char *pem, size_t size,
                        struct error *error)
{
    size_t bundle_size;
    struct bundle *bundle = bundle_new();
    if (bundle == NULL)
        return error_set(error, 1, EXPORT_BUNDLE ": out of memory");
    size_t roots = bundle_add_system_roots(bundle);
    roots += bundle_add_directory(bundle, config->upstream_trust_dir);
    if (roots == 0)
        log_warn("no root certificates found on this system or in %s: " EXPORT_BUNDLE
                 " holds the CA alone",
                 config->upstream_trust_dir);
    bundle_add_pem(bundle, pem, size);
    const char *text = bundle_text(bundle, &bundle_size);
    int result = write_file(config, directory, EXPORT_BUNDLE, text, bundle_size, error);
    bundle_free(bundle);
    return result;
}

int export_certificate(const struct config *config, const char *pem, size_t size,
                       char sha256[static STATE_SHA256_SIZE], struct error *error)
{
    X509 *certificate = certificate_from_pem(pem, size);
    if (certificate == NULL)
        return error_set(error, 1, EXPORT_CERTIFICATE ": not a certificate");
    certificate_sha256(certificate, sha256);
    X509_free(certificate);
    int directory = open_export_directory(config, error);
    if (directory < 0)
        return -1;
    int result = write_file(config, directory, EXPORT_CERTIFICATE, pem, size, error);
    if (result == 0)
        result = write_bundle(config, directory, pem, size, error);
    close(directory);
    return result;
}
