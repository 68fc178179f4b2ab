#include "setup/trust/certs_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/files/files.h"
#include "setup/trust/export_names.h"
#include "setup/x509/ca.h"

enum { NAME_SIZE = 24, LEFT_AFTER_S = 60 };

struct names {
    size_t count;
    char (*at)[NAME_SIZE];
};

static bool is_taken(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i], name) == 0)
            return true;
    return false;
}

/* The hash of the subject, and a number that tells certificates of the same subject apart. */
static void choose_name(struct names *names, X509 *certificate)
{
    char *name = names->at[names->count];
    int number = 0;
    do
        snprintf(name, NAME_SIZE, "%08lx.%d", X509_subject_name_hash(certificate), number++);
    while (is_taken(names, name));
    names->count++;
}

/* Not durable: a hundred times fsync would be the slowest part of setup, and the next run repairs
 * what a crash damages. */
static int write_file(int directory, const char *path, const char *name, const void *data,
                      size_t size, struct error *error)
{
    char full[PATH_MAX];
    snprintf(full, sizeof(full), "%.4000s/%s", path, name);
    const struct file_content content = {full, data, size, 0644, false};
    return file_update(directory, name, &content, error);
}

static int write_certificate(int directory, const char *path, const char *name, X509 *certificate,
                             struct error *error)
{
    size_t size;
    STACK_OF(X509) *one = sk_X509_new_null();
    sk_X509_push(one, certificate);
    char *pem = certificates_to_pem(one, &size, error);
    sk_X509_free(one);
    if (pem == NULL)
        return -1;
    int result = write_file(directory, path, name, pem, size, error);
    free(pem);
    return result;
}

/* A temporary file that is not old belongs to a process that is writing it. */
static bool is_in_use(int directory, const char *name)
{
    struct stat st;
    return name[0] == '.' && (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
                              time(NULL) - st.st_mtime < LEFT_AFTER_S);
}

/* Removes what another set of certificates, or a run that was killed, has left behind. */
static int remove_others(int directory, const struct names *names, const char *path,
                         struct error *error)
{
    int result = 0;
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (list == NULL) {
        if (copy >= 0)
            close(copy);
        return error_set(error, 1, "%s: %s", path, strerror(errno));
    }
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            is_taken(names, entry->d_name) || is_in_use(directory, entry->d_name))
            continue;
        if (unlinkat(directory, entry->d_name, 0) != 0 && errno != ENOENT)
            result = error_set(error, 1, "%s/%s: remove: %s", path, entry->d_name, strerror(errno));
    }
    closedir(list);
    return result;
}

static int open_directory(int parent, const char *name, const char *path, struct error *error)
{
    struct stat st;
    if (mkdirat(parent, name, 0755) != 0 && errno != EEXIST)
        return error_set(error, 1, "%s: make: %s", path, strerror(errno));
    int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0)
        return error_set(error, 1, "%s: %s", path, strerror(errno));
    if (fstat(directory, &st) == 0 && st.st_uid == geteuid() &&
        ((st.st_mode & 07777) == 0755 || fchmod(directory, 0755) == 0))
        return directory;
    error_set(error, EX_CONFIG, "%s: owned by uid %u, expected %u", path, st.st_uid, geteuid());
    close(directory);
    return -1;
}

static int write_hashed(int directory, const struct certs_directory *certs, struct names *names,
                        struct error *error)
{
    for (int i = 0; i < sk_X509_num(certs->certificates); i++) {
        X509 *certificate = sk_X509_value(certs->certificates, i);
        choose_name(names, certificate);
        if (write_certificate(directory, certs->path, names->at[names->count - 1], certificate,
                              error) != 0)
            return -1;
    }
    return 0;
}

static int write_java(int parent, const struct certs_directory *certs, struct error *error)
{
    char name[1][NAME_SIZE] = {CERTS_JAVA_STORE};
    const struct names names = {1, name};
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.4000s/" CERTS_JAVA, certs->path);
    int directory = open_directory(parent, CERTS_JAVA, path, error);
    if (directory < 0)
        return -1;
    int result = write_file(directory, path, CERTS_JAVA_STORE, certs->truststore,
                            certs->truststore_size, error);
    if (result == 0)
        result = remove_others(directory, &names, path, error);
    close(directory);
    return result;
}

static int write_all(int directory, const struct certs_directory *certs, struct names *names,
                     struct error *error)
{
    strlcpy(names->at[names->count++], CERTS_BUNDLE, NAME_SIZE);
    strlcpy(names->at[names->count++], CERTS_JAVA, NAME_SIZE);
    if (write_file(directory, certs->path, CERTS_BUNDLE, certs->bundle, certs->bundle_size,
                   error) != 0 ||
        write_java(directory, certs, error) != 0 ||
        write_hashed(directory, certs, names, error) != 0)
        return -1;
    return remove_others(directory, names, certs->path, error);
}

int certs_directory_write(int parent, const struct certs_directory *certs, struct error *error)
{
    struct names names = {0};
    int directory = open_directory(parent, EXPORT_CERTS, certs->path, error);
    if (directory < 0)
        return -1;
    int result = -1;
    names.at = calloc((size_t)sk_X509_num(certs->certificates) + 2, sizeof(*names.at));
    if (names.at != NULL)
        result = write_all(directory, certs, &names, error);
    else
        error_set(error, 1, "%s: %s", certs->path, strerror(errno));
    free(names.at);
    close(directory);
    return result;
}
