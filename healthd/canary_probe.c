#include "healthd/canary_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/canary.h"
#include "healthd/clock.h"

enum { EVERY_MS = 10 * 1000, AGAIN_MS = 1000, LATE_MS = 1000 };

void canary_probe_init(struct canary_probe *probe)
{
    probe->fd = -1;
    probe->deadline_ms = 0;
}

static void end(struct canary_probe *probe, int64_t next_in_ms)
{
    if (probe->fd >= 0)
        close(probe->fd);
    probe->fd = -1;
    probe->deadline_ms = clock_ms() + next_in_ms;
}

static bool fail(struct canary_probe *probe, const char *reason, char *why, size_t size)
{
    snprintf(why, size, "canary " CANARY_ADDRESS ":%d: %s", CANARY_PORT, reason);
    end(probe, AGAIN_MS);
    return false;
}

/* On loopback a connection is refused at once; one that is not may still be waiting for accept. */
static bool begin(struct canary_probe *probe, char *why, size_t size)
{
    struct sockaddr_in canary = {.sin_family = AF_INET, .sin_port = htons(CANARY_PORT)};
    inet_pton(AF_INET, CANARY_ADDRESS, &canary.sin_addr);
    probe->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe->fd < 0)
        return fail(probe, strerror(errno), why, size);
    if (connect(probe->fd, (struct sockaddr *)&canary, sizeof(canary)) != 0 && errno != EINPROGRESS)
        return fail(probe, strerror(errno), why, size);
    probe->deadline_ms = clock_ms() + LATE_MS;
    return true;
}

static const char *connection_error(int fd)
{
    int reason = 0;
    socklen_t size = sizeof(reason);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) == 0 && reason != 0)
        return strerror(reason);
    return "did not arrive here";
}

bool canary_probe_tick(struct canary_probe *probe, char *why, size_t size)
{
    if (clock_ms() < probe->deadline_ms)
        return true;
    if (probe->fd >= 0)
        return fail(probe, connection_error(probe->fd), why, size);
    return begin(probe, why, size);
}

void canary_probe_landed(struct canary_probe *probe)
{
    end(probe, EVERY_MS);
}
