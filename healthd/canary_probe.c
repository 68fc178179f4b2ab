#include "healthd/canary_probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/canary.h"
#include "common/log.h"
#include "healthd/clock.h"

enum { EVERY_MS = 10 * 1000, AGAIN_MS = 1000, LATE_MS = 1000 };

void canary_probe_init(struct canary_probe *probe, int family)
{
    *probe = (struct canary_probe){.family = family, .fd = -1, .error = "not tried yet"};
}

static void end(struct canary_probe *probe, int64_t next_in_ms)
{
    if (probe->fd >= 0)
        close(probe->fd);
    probe->fd = -1;
    probe->deadline_ms = clock_ms() + next_in_ms;
}

static void fail(struct canary_probe *probe, const char *reason)
{
    snprintf(probe->error, sizeof(probe->error), "canary %s: %s", canary_name(probe->family),
             reason);
    if (probe->lands)
        log_error("redirect rules not in effect: %s", probe->error);
    probe->lands = false;
    end(probe, AGAIN_MS);
}

/* On loopback a connection is refused at once; one that is not may still be waiting for accept. */
static void begin(struct canary_probe *probe)
{
    struct sockaddr_storage canary;
    socklen_t size = canary_address(probe->family, &canary);
    probe->fd = socket(probe->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe->fd < 0 ||
        (connect(probe->fd, (struct sockaddr *)&canary, size) != 0 && errno != EINPROGRESS))
        fail(probe, strerror(errno));
    else
        probe->deadline_ms = clock_ms() + LATE_MS;
}

static const char *connection_error(int fd)
{
    int reason = 0;
    socklen_t size = sizeof(reason);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) == 0 && reason != 0)
        return strerror(reason);
    return "did not arrive here";
}

void canary_probe_tick(struct canary_probe *probe)
{
    if (clock_ms() < probe->deadline_ms)
        return;
    if (probe->fd >= 0)
        fail(probe, connection_error(probe->fd));
    else
        begin(probe);
}

void canary_probe_landed(struct canary_probe *probe)
{
    if (!probe->lands)
        log_info("canary %s has landed: the redirect is in effect", canary_name(probe->family));
    probe->lands = true;
    end(probe, EVERY_MS);
}
