#include "common/mitmdump/ca_file.h"

#include <errno.h>
#include <sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/files/files.h"

void ca_file_path(const struct config *config, char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.4000s/" CA_FILE, config->confdir);
}

static char *read_open(int fd, const char *path, struct ca_file *file, size_t *size,
                       struct error *error)
{
    if (fstat(fd, &file->identity) != 0) {
        error_set(error, 1, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = file_read_open(fd, CA_FILE_MAX_BYTES, path, size, error);
    if (text != NULL)
        SHA256Data((const uint8_t *)text, *size, file->sha256);
    return text;
}

char *ca_file_read(const struct config *config, struct ca_file *file, size_t *size,
                   struct error *error)
{
    const struct file_limits limits = {.max_size = CA_FILE_MAX_BYTES, .owner = config->user.uid};
    char path[PATH_MAX];
    char *text = NULL;
    ca_file_path(config, path);
    int directory = directory_open(config->confdir, error);
    if (directory < 0)
        return NULL;
    int fd = file_open(directory, CA_FILE, &limits, path, error);
    int reason = errno;
    close(directory);
    if (fd >= 0) {
        text = read_open(fd, path, file, size, error);
        reason = errno;
        close(fd);
    }
    errno = reason;
    return text;
}

void ca_file_release(char *text, size_t size)
{
    if (text == NULL)
        return;
    explicit_bzero(text, size);
    free(text);
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool ca_file_is_untouched(const struct config *config, const struct ca_file *file)
{
    char path[PATH_MAX];
    struct stat now;
    const struct stat *then = &file->identity;
    ca_file_path(config, path);
    return lstat(path, &now) == 0 && now.st_dev == then->st_dev && now.st_ino == then->st_ino &&
           now.st_size == then->st_size && is_same_time(now.st_mtim, then->st_mtim) &&
           is_same_time(now.st_ctim, then->st_ctim);
}
