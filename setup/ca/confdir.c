#include "setup/ca/confdir.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/dh.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files/files.h"
#include "setup/ca/store.h"

/* Another setup needs less; only the mitmproxy user could hold the lock for longer. */
enum { LOCK_WAIT_MS = 2000 };

void confdir_path(const struct confdir *confdir, const char *name, char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.3900s/%.100s", confdir->config->confdir, name);
}

static int check_config_yaml(const struct confdir *confdir, const char *name, struct error *error)
{
    char path[PATH_MAX];
    struct stat st;
    confdir_path(confdir, name, path);
    if (fstatat(confdir->directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
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

int confdir_open(struct confdir *confdir, const struct config *config, struct error *error)
{
    confdir->config = config;
    confdir->directory = directory_make(config->confdir, 0700, error);
    if (confdir->directory < 0)
        return error_prefix(error, "confdir");
    if (file_lock(confdir->directory, LOCK_WAIT_MS) != 0)
        error_set(error, 1, "%s: lock: %s", config->confdir, strerror(errno));
    else if (check_config_yaml(confdir, "config.yaml", error) == 0 &&
             check_config_yaml(confdir, "config.yml", error) == 0)
        return 0;
    close(confdir->directory);
    return -1;
}

void confdir_close(struct confdir *confdir)
{
    close(confdir->directory);
}

char *confdir_read(const struct confdir *confdir, const char *name, size_t *size,
                   struct error *error)
{
    const struct file_limits limits = {.max_size = CA_FILE_MAX_BYTES, .owner = geteuid()};
    char path[PATH_MAX];
    confdir_path(confdir, name, path);
    return file_read(confdir->directory, name, &limits, path, size, error);
}

int confdir_write(const struct confdir *confdir, const char *name, const char *data, size_t size,
                  mode_t mode, struct error *error)
{
    char path[PATH_MAX];
    confdir_path(confdir, name, path);
    const struct file_content content = {path, data, size, mode, true};
    return file_replace(confdir->directory, name, &content, error);
}

int confdir_update(const struct confdir *confdir, const char *name, const char *data, size_t size,
                   struct error *error)
{
    char path[PATH_MAX];
    confdir_path(confdir, name, path);
    const struct file_content content = {path, data, size, 0644, true};
    return file_update(confdir->directory, name, &content, error);
}

int confdir_tighten(const struct confdir *confdir, const char *name, mode_t mode,
                    struct error *error)
{
    char path[PATH_MAX];
    struct stat st;
    confdir_path(confdir, name, path);
    if (fstatat(confdir->directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return error_set(error, 1, "%s: stat: %s", path, strerror(errno));
    if ((st.st_mode & 07777 & ~mode) == 0 || st.st_uid != geteuid())
        return 0;
    if (fchmodat(confdir->directory, name, mode, 0) != 0 && errno != EROFS)
        return error_set(error, 1, "%s: set mode %04o: %s", path, mode, strerror(errno));
    return 0;
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

int confdir_complete(const struct confdir *confdir, struct error *error)
{
    static const char name[] = "mitmproxy-dhparam.pem";
    struct stat st;
    char *data;
    if (confdir_tighten(confdir, ".", 0700, error) != 0)
        return -1;
    directory_clean(confdir->directory);
    if (fstatat(confdir->directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        return 0;
    BIO *bio = dh_parameters();
    if (bio == NULL)
        return error_set(error, 1, "%s: OpenSSL does not make ffdhe2048", name);
    long size = BIO_get_mem_data(bio, &data);
    int result = confdir_update(confdir, name, data, (size_t)size, error);
    BIO_free(bio);
    return result;
}
