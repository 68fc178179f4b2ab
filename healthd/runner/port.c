#include "healthd/runner/port.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/kernel/socket_diagnosis.h"

/* Binds as mitmdump does, but does not listen. Only EADDRINUSE counts: mitmdump itself reports any
 * other error better. */
static bool is_in_use(int family, uint16_t port)
{
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int result = family == AF_INET ? bind(fd, (const struct sockaddr *)&v4, sizeof(v4))
                                   : bind(fd, (const struct sockaddr *)&v6, sizeof(v6));
    bool in_use = result != 0 && errno == EADDRINUSE;
    close(fd);
    return in_use;
}

static int check_family(int diagnosis, int family, uint16_t port, struct error *error)
{
    const char *address = family == AF_INET ? "127.0.0.1" : "::1";
    struct listener holder;
    struct error unknown;
    if (!is_in_use(family, port))
        return 0;
    if (listener_find(diagnosis, family, port, &holder, &unknown) == 1)
        return error_set(error, EX_UNAVAILABLE,
                         "port %u of %s is held by another process, of uid %u", port, address,
                         holder.uid);
    if (socket_find_connection(diagnosis, family, port, &holder, &unknown) == 1)
        return error_set(error, EX_UNAVAILABLE,
                         "port %u of %s is held by a connection of a process of uid %u", port,
                         address, holder.uid);
    return error_set(error, EX_UNAVAILABLE,
                     "port %u of %s is held by a socket that neither listens nor is connected",
                     port, address);
}

int port_check(int diagnosis, uint16_t port, bool with_ipv6, struct error *error)
{
    if (check_family(diagnosis, AF_INET, port, error) != 0)
        return -1;
    return with_ipv6 ? check_family(diagnosis, AF_INET6, port, error) : 0;
}
