/*
 * Preloaded into setup: the call that the environment names fails.
 *
 *   FAULT=NAME:NUMBER:ERRNO   the NUMBER-th call of NAME (0: none) fails with ERRNO
 *   FAULT_LOG=FILE            a line for each call of NAME: its number and its file
 *
 * Calls are counted over a process and all that it starts. Only what is about regular
 * files and directories counts, so that logging goes on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inherited.h"

static char wanted[32];
static int number, error;
static atomic_int *count;

__attribute__((constructor)) static void start(void)
{
    const char *fault = getenv("FAULT");
    int first;
    if (fault == NULL || sscanf(fault, "%31[a-z]:%d:%d", wanted, &number, &error) != 3)
        wanted[0] = '\0';
    count = inherited_memory("FAULT_COUNT", sizeof(*count), &first);
}

/* Is it this call's turn to fail? */
static int turn(const char *name, const char *path)
{
    static int (*real_open)(const char *, int, ...);
    char line[4200];
    int mine, fd;

    if (strcmp(name, wanted) != 0)
        return 0;
    mine = atomic_fetch_add(count, 1) + 1;
    if (real_open == NULL)
        *(void **)&real_open = dlsym(RTLD_NEXT, "open");
    fd = getenv("FAULT_LOG") == NULL
             ? -1
             : real_open(getenv("FAULT_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0) {
        int length = snprintf(line, sizeof(line), "%d %s\n", mine, path);
        if (length > 0 && write(fd, line, (size_t)length) != length)
            abort();
        close(fd);
    }
    if (mine != number)
        return 0;
    errno = error;
    return 1;
}

/* The file that a descriptor is of, if it is a regular file or a directory. */
static int file_of(int fd, char path[4096])
{
    struct stat st;
    char link[64];
    ssize_t length;

    if (fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, 4095);
    path[length > 0 ? length : 0] = '\0';
    return 1;
}

static int fails_on(const char *name, int fd)
{
    char path[4096];
    return file_of(fd, path) && turn(name, path);
}

#define REAL(type, name, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, name)

int fsync(int fd)
{
    REAL(int, "fsync", int);
    return fails_on("fsync", fd) ? -1 : real(fd);
}
int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    return fails_on("fsync", fd) ? -1 : real(fd);
}
ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    /* (What is written to the log of this file itself does not count.) */
    if (wanted[0] != 'w')
        return real(fd, data, size);
    char path[4096];
    if (!file_of(fd, path) ||
        (getenv("FAULT_LOG") != NULL && strcmp(path, getenv("FAULT_LOG")) == 0))
        return real(fd, data, size);
    if (turn("write", path)) {
        /* A disk that is nearly full takes a part. */
        if (size > 1 && real(fd, data, size / 2) < 0)
            return -1;
        errno = error;
        return -1;
    }
    return real(fd, data, size);
}
int fchmod(int fd, mode_t mode)
{
    REAL(int, "fchmod", int, mode_t);
    return fails_on("fchmod", fd) ? -1 : real(fd, mode);
}
int fchown(int fd, uid_t uid, gid_t gid)
{
    REAL(int, "fchown", int, uid_t, gid_t);
    return fails_on("fchown", fd) ? -1 : real(fd, uid, gid);
}
int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    return turn("rename", to) ? -1 : real(from, to);
}
int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    REAL(int, "renameat", int, const char *, int, const char *);
    return turn("rename", to) ? -1 : real(from_fd, from, to_fd, to);
}
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned int);
    return turn("rename", to) ? -1 : real(from_fd, from, to_fd, to, flags);
}
int mkdirat(int fd, const char *name, mode_t mode)
{
    REAL(int, "mkdirat", int, const char *, mode_t);
    return turn("mkdir", name) ? -1 : real(fd, name, mode);
}
int mkdir(const char *name, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    return turn("mkdir", name) ? -1 : real(name, mode);
}
int openat(int fd, const char *name, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, ...);
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
        if (turn("create", name))
            return -1;
    }
    return real(fd, name, flags, mode);
}
