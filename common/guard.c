#include "common/guard.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/canary.h"

bool guard_is_wanted(const struct config *config, int family)
{
    if (family == AF_INET)
        return !config->quic_allowed;
    return config->ipv6 == IPV6_REJECT || (config->ipv6 == IPV6_REDIRECT && !config->quic_allowed);
}

int guard_prove(int family, struct error *error)
{
    struct sockaddr_storage canary;
    socklen_t size = canary_address(family, &canary);
    ssize_t sent = -1;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&canary, size) == 0)
        sent = send(fd, "", 1, MSG_NOSIGNAL);
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (sent < 0 && reason == EPERM)
        return 0;
    return error_set(error, EX_UNAVAILABLE, "a datagram to the canary %s: %s", canary_name(family),
                     sent < 0 ? strerror(reason) : "let through");
}
