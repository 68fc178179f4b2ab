#include "setup/iptables/xtables_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"

enum { TRIES = 1000, PAUSE_NS = 10 * 1000 * 1000 };

int xtables_lock(struct error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    const char *path = getenv("XTABLES_LOCKFILE");
    if (path == NULL || *path == '\0')
        path = "/run/xtables.lock";
    /* Mode and flags as the iptables programs have them. */
    int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        log_debug("%s: %s: going on without the lock", path, strerror(errno));
        return -2;
    }
    for (int tries = 0; tries < TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        nanosleep(&pause, NULL);
    }
    error_set(error, EX_UNAVAILABLE, "%s: lock: %s", path,
              errno == EWOULDBLOCK ? "another program has held it for 10 s" : strerror(errno));
    close(fd);
    return -1;
}

void xtables_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}
