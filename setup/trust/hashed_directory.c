#include "setup/trust/hashed_directory.h"

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

static int write_certificate(int directory, const char *name, X509 *certificate, const char *path,
                             struct error *error)
{
    char full[PATH_MAX];
    size_t size;
    STACK_OF(X509) *one = sk_X509_new_null();
    sk_X509_push(one, certificate);
    char *pem = certificates_to_pem(one, &size, error);
    sk_X509_free(one);
    if (pem == NULL)
        return -1;
    snprintf(full, sizeof(full), "%.4000s/%s", path, name);
    /* Not durable: a hundred times fsync would be the slowest part of setup, and the next run
     * repairs what a crash damages. */
    const struct file_content content = {full, pem, size, 0644, false};
    int result = file_update(directory, name, &content, error);
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

int hashed_directory_write(int parent, const char *name, const STACK_OF(X509) * certificates,
                           const char *path, struct error *error)
{
    struct names names = {0};
    int count = sk_X509_num(certificates);
    int directory = open_directory(parent, name, path, error);
    if (directory < 0)
        return -1;
    int result = 0;
    names.at = calloc((size_t)count + 1, sizeof(*names.at));
    if (names.at == NULL)
        result = error_set(error, 1, "%s: %s", path, strerror(errno));
    for (int i = 0; result == 0 && i < count; i++) {
        choose_name(&names, sk_X509_value(certificates, i));
        result =
            write_certificate(directory, names.at[i], sk_X509_value(certificates, i), path, error);
    }
    if (result == 0)
        result = remove_others(directory, &names, path, error);
    free(names.at);
    close(directory);
    return result;
}
