#include "common/kernel/ipv6.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static bool kernel_has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno != EAFNOSUPPORT;
}

/* The file has one line per address, and none where the namespace has IPv6 disabled
 * (net.ipv6.conf.all.disable_ipv6). In doubt, true. */
bool ipv6_is_present(void)
{
    char byte;
    int fd = open("/proc/net/if_inet6", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kernel_has_ipv6();
    ssize_t got = read(fd, &byte, 1);
    close(fd);
    return got != 0;
}

bool ipv6_loopback_is_usable(void)
{
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno != EAFNOSUPPORT;
    bool usable =
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno != EADDRNOTAVAIL;
    close(fd);
    return usable;
}
