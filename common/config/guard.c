#include "common/config/guard.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/kernel/canary.h"

bool guard_is_wanted(const struct config *config, int family)
{
    return family == AF_INET || config->ipv6 != IPV6_OFF;
}

int guard_prove(int family, struct error *error)
{
    int fd = canary_connect(family, SOCK_DGRAM);
    ssize_t sent = fd >= 0 ? send(fd, "", 1, MSG_NOSIGNAL) : -1;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (sent < 0 && reason == EPERM)
        return 0;
    return error_set(error, EX_UNAVAILABLE, "a datagram to the canary %s: %s", canary_name(family),
                     sent < 0 ? strerror(reason) : "let through");
}
