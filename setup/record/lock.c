#include "setup/record/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

/* Only an attacker takes a lock away so often: then own_lock gives up early. */
enum { TAKEN_AWAY_MAX = 200 };

/* Somebody could move another of our files here, which he can open, and lock it for ever. So the
 * lock must be readable by nobody else, unlike our other files, and have no other name by which it
 * may be. */
static bool is_own(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
           (st->st_mode & (S_IRWXG | S_IRWXO)) == 0 && st->st_nlink == 1;
}

/* Removes whatever has the name. It is renamed first, for two reasons: that works with a directory
 * that is not empty, which then stays; and if another setup was quicker and has put a good lock
 * there, the lock can be renamed back. */
static int put_away(int directory, const char *name)
{
    char away[NAME_MAX];
    struct stat st;
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return -1;
    snprintf(away, sizeof(away), "%.200s.%016" PRIx64, name, random);
    if (renameat(directory, name, directory, away) != 0)
        return errno == ENOENT ? 0 : -1;
    if (fstatat(directory, away, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_own(&st) &&
        renameat2(directory, away, directory, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (unlinkat(directory, away, 0) != 0)
        unlinkat(directory, away, AT_REMOVEDIR);
    return 0;
}

/* Opens or makes the lock. -1 with errno; EEXIST: somebody was quicker. */
static int open_lock(int directory, const char *name)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    struct stat st;
    int fd = openat(directory, name, flags);
    if (fd >= 0 && fstat(fd, &st) == 0 && is_own(&st))
        return fd;
    bool is_missing = fd < 0 && errno == ENOENT;
    if (fd >= 0)
        close(fd);
    if (!is_missing && put_away(directory, name) != 0)
        return -1;
    return openat(directory, name, flags | O_CREAT | O_EXCL, 0600);
}

/* A lock only counts while its name leads to it, because others can remove the name. */
static bool is_still_there(int fd, int directory, const char *name)
{
    struct stat st, named;
    return fstat(fd, &st) == 0 && is_own(&st) &&
           fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_ino == named.st_ino && st.st_dev == named.st_dev;
}

/* Opens the lock anew for each try, so that nobody waits for one that was removed. */
int own_lock(int directory, const char *name, int wait_ms)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    int64_t deadline_ms = clock_ms() + wait_ms;
    int taken_away = 0;
    do {
        int fd = open_lock(directory, name);
        if (fd < 0 && errno != EEXIST)
            return -1;
        bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
        if (locked && is_still_there(fd, directory, name))
            return fd;
        taken_away += locked || fd < 0;
        if (fd >= 0)
            close(fd);
        nanosleep(&pause, NULL);
    } while (clock_ms() < deadline_ms && taken_away < TAKEN_AWAY_MAX);
    errno = taken_away < TAKEN_AWAY_MAX ? EWOULDBLOCK : ESTALE;
    return -1;
}
