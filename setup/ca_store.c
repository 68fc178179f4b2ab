#include "setup/ca_store.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"
#include "setup/ca.h"

struct store {
    const struct config *config;
    int directory;
    struct ca ca;
};

static void path_of(const struct store *store, const char *name, char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.3900s/%.100s", store->config->confdir, name);
}

/* mitmproxy reads config.yaml, and what its "scripts:" names is executed where the key is. */
static int check_config_yaml(const struct store *store, struct error *error)
{
    char path[PATH_MAX];
    struct stat st;
    path_of(store, "config.yaml", path);
    if (fstatat(store->directory, "config.yaml", &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : error_set(error, 1, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(error, EX_CONFIG, "%s: not a regular file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return error_set(error, EX_CONFIG, "%s: owned by uid %u, expected root or %u", path,
                         st.st_uid, geteuid());
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return error_set(error, EX_CONFIG,
                         "%s: mode %04o, expected no write permission for group and others", path,
                         st.st_mode & 07777);
    return 0;
}

/* Takes away what mode does not have, from a file in the confdir or from itself ("."), whatever it
 * came with. A file that is root's, or on a read-only volume, stays as it is. */
static int tighten(const struct store *store, const char *name, mode_t mode, struct error *error)
{
    char path[PATH_MAX];
    struct stat st;
    path_of(store, name, path);
    if (fstatat(store->directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return error_set(error, 1, "%s: stat: %s", path, strerror(errno));
    if ((st.st_mode & 07777 & ~mode) == 0 || st.st_uid != geteuid())
        return 0;
    if (fchmodat(store->directory, name, mode, 0) != 0 && errno != EROFS)
        return error_set(error, 1, "%s: set mode %04o: %s", path, mode, strerror(errno));
    return 0;
}

static int ca_take(struct store *store, const char *pem, size_t size, const char *path,
                   struct error *error)
{
    if (ca_parse(pem, size, &store->ca, error) != 0 || ca_check(&store->ca, path, error) != 0)
        return error_prefix(error, "%s", path);
    return tighten(store, CA_FILE, 0600, error);
}

static int ca_make(struct store *store, const char *path, struct error *error)
{
    size_t size;
    if (ca_generate(&store->ca, error) != 0)
        return error_prefix(error, "%s", path);
    char *pem = ca_to_pem(&store->ca, &size, error);
    if (pem == NULL)
        return error_prefix(error, "%s", path);
    int result = file_replace(store->directory, CA_FILE, pem, size, 0600, path, error);
    explicit_bzero(pem, size);
    free(pem);
    if (result == 0)
        log_info("%s: made a new CA (ECDSA P-256)", path);
    return result;
}

static int ca_keep_or_make(struct store *store, struct error *error)
{
    const struct file_limits limits = {.max_size = CA_FILE_MAX_BYTES, .owner = geteuid()};
    char path[PATH_MAX];
    size_t size;
    path_of(store, CA_FILE, path);
    char *pem = file_read(store->directory, CA_FILE, &limits, path, &size, error);
    if (pem == NULL)
        return errno == ENOENT ? ca_make(store, path, error) : -1;
    int result = ca_take(store, pem, size, path, error);
    explicit_bzero(pem, size);
    free(pem);
    return result;
}

/* Writes a file that follows from the CA. */
static int derive(const struct store *store, const char *name, const char *data, size_t size,
                  struct error *error)
{
    char path[PATH_MAX];
    path_of(store, name, path);
    return file_update(store->directory, name, data, size, 0644, path, error);
}

/* RFC 7919's ffdhe2048 as PEM. The caller frees the BIO; NULL if OpenSSL refuses. */
static BIO *dh_parameters(void)
{
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *group = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    int written = bio != NULL && context != NULL && EVP_PKEY_paramgen_init(context) == 1 &&
                  EVP_PKEY_CTX_set_group_name(context, "ffdhe2048") == 1 &&
                  EVP_PKEY_paramgen(context, &group) == 1 &&
                  PEM_write_bio_Parameters(bio, group) == 1;
    EVP_PKEY_free(group);
    EVP_PKEY_CTX_free(context);
    if (written)
        return bio;
    BIO_free(bio);
    return NULL;
}

/* mitmproxy makes this file when it is missing, and dies where it cannot. */
static int complete_dhparam(const struct store *store, struct error *error)
{
    static const char name[] = "mitmproxy-dhparam.pem";
    struct stat st;
    char *data;
    if (fstatat(store->directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        return 0;
    BIO *bio = dh_parameters();
    if (bio == NULL)
        return error_set(error, 1, "%s: OpenSSL does not make ffdhe2048", name);
    long size = BIO_get_mem_data(bio, &data);
    int result = derive(store, name, data, (size_t)size, error);
    BIO_free(bio);
    return result;
}

static char *complete(const struct store *store, size_t *size, struct error *error)
{
    X509 *certificate = sk_X509_value(store->ca.certificates, 0);
    char *pem = certificate_to_pem(certificate, size, error);
    if (pem == NULL)
        return NULL;
    if (derive(store, "mitmproxy-ca-cert.pem", pem, *size, error) != 0 ||
        derive(store, "mitmproxy-ca-cert.cer", pem, *size, error) != 0 ||
        complete_dhparam(store, error) != 0) {
        free(pem);
        return NULL;
    }
    return pem;
}

char *ca_store_prepare(const struct config *config, size_t *size, struct error *error)
{
    struct store store = {.config = config};
    char *pem = NULL;
    store.directory = directory_open(config->confdir, error);
    if (store.directory < 0)
        return NULL;
    /* Two runs at once must end with one CA. */
    if (flock(store.directory, LOCK_EX) != 0)
        error_set(error, 1, "%s: lock: %s", config->confdir, strerror(errno));
    else if (tighten(&store, ".", 0700, error) == 0 && check_config_yaml(&store, error) == 0 &&
             ca_keep_or_make(&store, error) == 0)
        pem = complete(&store, size, error);
    ca_free(&store.ca);
    close(store.directory);
    return pem;
}
