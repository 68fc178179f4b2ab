#include "common/ipv6.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* One line an address; no file at all in a kernel without IPv6, an empty one where the
 * namespace has it disabled (net.ipv6.conf.all.disable_ipv6). */
bool ipv6_is_present(void)
{
    char byte;
    int fd = open("/proc/net/if_inet6", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool present = read(fd, &byte, 1) == 1;
    close(fd);
    return present;
}

bool ipv6_loopback_is_usable(void)
{
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool usable = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return usable;
}

bool ipv6_is_redirected(const struct config *config)
{
    return config->ipv6 == IPV6_REDIRECT && ipv6_loopback_is_usable();
}
