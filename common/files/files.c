#include "common/files/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A temporary file that is older was left behind by a process that was killed. */
enum { LEFT_AFTER_S = 60 };

int directory_of(const char *path, const char **name, struct error *error)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];
    if (slash == NULL || slash[1] == '\0' || (size_t)(slash - path) >= sizeof(directory))
        return error_set(error, EX_CONFIG, "%s: not the absolute path of a file", path);
    memcpy(directory, path, (size_t)(slash - path));
    directory[slash - path] = '\0';
    *name = slash + 1;
    return directory_open(slash == path ? "/" : directory, error);
}

static int judge(int fd, const struct file_limits *limits, const char *path, struct error *error)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set(error, 1, "%s: stat: %s", path, strerror(errno));
    errno = EINVAL;
    if (!S_ISREG(st.st_mode))
        return error_set(error, EX_CONFIG, "%s: not a regular file", path);
    /* No link is fine: another process has replaced the file since it was opened. */
    if (st.st_nlink > 1)
        return error_set(error, EX_CONFIG, "%s: %ju hard links, expected one", path,
                         (uintmax_t)st.st_nlink);
    if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != limits->owner)
        return error_set(error, EX_CONFIG, "%s: owned by uid %u, expected %u or root", path,
                         st.st_uid, limits->owner);
    if (st.st_size > limits->max_size)
        return error_set(error, EX_CONFIG, "%s: %jd bytes, expected at most %jd", path,
                         (intmax_t)st.st_size, (intmax_t)limits->max_size);
    return 0;
}

/* Fills error from errno, which it keeps. ENXIO: a socket, or a device that does not exist. */
static int open_error(const char *path, struct error *error)
{
    int reason = errno;
    if (reason == ELOOP)
        error_set(error, EX_CONFIG, "%s: a symbolic link, expected a regular file", path);
    else if (reason == ENXIO || reason == ENODEV)
        error_set(error, EX_CONFIG, "%s: not a regular file", path);
    else
        error_set(error, 1, "%s: %s", path, strerror(reason));
    errno = reason;
    return -1;
}

int file_open(int directory, const char *name, const struct file_limits *limits, const char *path,
              struct error *error)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return open_error(path, error);
    if (judge(fd, limits, path, error) != 0) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

/* The file may grow while it is read, so max bounds it in any case. */
char *file_read_open(int fd, size_t max, const char *path, size_t *size, struct error *error)
{
    char *data = malloc(max + 1);
    size_t used = 0;
    if (data == NULL) {
        error_set(error, 1, "%s: %s", path, strerror(errno));
        return NULL;
    }
    while (used < max) {
        ssize_t got = read(fd, data + used, max - used);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error_set(error, 1, "%s: read: %s", path, strerror(errno));
            free(data);
            return NULL;
        }
        used += (size_t)got;
    }
    data[used] = '\0';
    *size = used;
    return data;
}

char *file_read(int directory, const char *name, const struct file_limits *limits, const char *path,
                size_t *size, struct error *error)
{
    int fd = file_open(directory, name, limits, path, error);
    if (fd < 0)
        return NULL;
    char *data = file_read_open(fd, (size_t)limits->max_size, path, size, error);
    close(fd);
    return data;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        data += put;
        size -= (size_t)put;
    }
    return 0;
}

/* EINVAL: the file system cannot sync a directory. */
static int sync_directory(int directory, const char *path, struct error *error)
{
    if (fsync(directory) == 0 || errno == EINVAL)
        return 0;
    return error_set(error, 1, "%s: fsync of its directory: %s", path, strerror(errno));
}

int file_replace(int directory, const char *name, const struct file_content *content,
                 struct error *error)
{
    char temporary[NAME_MAX];
    uint64_t random = 0;
    int result = -1;
    /* An attacker cannot prepare a name that cannot be guessed; O_EXCL refuses an existing one. */
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_set(error, 1, "%s: getrandom: %s", content->path, strerror(errno));
    snprintf(temporary, sizeof(temporary), ".%.200s.%016" PRIx64, name, random);
    int fd =
        openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(error, 1, "%s: create %s: %s", content->path, temporary, strerror(errno));
    /* fchmod sets the mode, because the umask would change that of openat. */
    if (write_all(fd, content->data, content->size) != 0 || fchmod(fd, content->mode) != 0 ||
        (content->durable && fsync(fd) != 0))
        error_set(error, 1, "%s: write: %s", content->path, strerror(errno));
    else if (renameat(directory, temporary, directory, name) != 0)
        error_set(error, 1, "%s: rename: %s", content->path, strerror(errno));
    else
        result = 0;
    close(fd);
    if (result != 0)
        unlinkat(directory, temporary, 0);
    else if (content->durable)
        result = sync_directory(directory, content->path, error);
    return result;
}

static bool is_same(int fd, const struct file_content *content)
{
    struct error ignored;
    struct stat st;
    size_t size = 0;
    char *old = file_read_open(fd, content->size, content->path, &size, &ignored);
    bool same = old != NULL && size == content->size && memcmp(old, content->data, size) == 0 &&
                fstat(fd, &st) == 0 && (st.st_mode & 07777) == content->mode &&
                st.st_uid == geteuid();
    free(old);
    return same;
}

int file_update(int directory, const char *name, const struct file_content *content,
                struct error *error)
{
    const struct file_limits limits = {.max_size = (off_t)content->size, .owner = geteuid()};
    struct error ignored;
    bool same = false;
    int fd = file_open(directory, name, &limits, content->path, &ignored);
    if (fd >= 0) {
        same = is_same(fd, content);
        close(fd);
    }
    return same ? 0 : file_replace(directory, name, content, error);
}

int file_lock(int fd, int wait_ms)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    for (int waited = 0;; waited += 5) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -1;
        if (waited >= wait_ms)
            break;
        nanosleep(&pause, NULL);
    }
    errno = EWOULDBLOCK;
    return -1;
}

/* True for an old file that is named as file_replace does: ".NAME." and sixteen hexadecimal digits.
 * A newer one may be in use. */
static bool is_left_over(int directory, const char *name)
{
    struct stat st;
    const char *dot = strrchr(name, '.');
    if (name[0] != '.' || dot == name || strlen(dot + 1) != 16 ||
        strspn(dot + 1, "0123456789abcdef") != 16)
        return false;
    return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_uid == geteuid() && time(NULL) - st.st_mtime > LEFT_AFTER_S;
}

void directory_clean(int directory)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (list == NULL) {
        if (copy >= 0)
            close(copy);
        return;
    }
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (is_left_over(directory, entry->d_name))
            unlinkat(directory, entry->d_name, 0);
    closedir(list);
}
