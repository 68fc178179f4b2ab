/* A file of its own, because it is all that is read of proc(5). */
#include "healthd/link/usage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int usage_read(uint32_t pid, struct usage *usage)
{
    char path[32], line[1024];
    char state;
    unsigned long user, system;
    long pages;
    snprintf(path, sizeof(path), "/proc/%" PRIu32 "/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t size = read(fd, line, sizeof(line) - 1);
    close(fd);
    if (size <= 0)
        return -1;
    line[size] = '\0';
    /* The second field is a name in parentheses, which may have any character in it; state is field
     * 3, utime 14, stime 15, rss 24. */
    const char *rest = strrchr(line, ')');
    if (rest == NULL ||
        sscanf(rest + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u "
               "%*u %ld",
               &state, &user, &system, &pages) != 4)
        return -1;
    usage->asleep = state == 'S';
    usage->ended = state == 'Z' || state == 'X';
    usage->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    usage->cpu_seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    return 0;
}
