#include "healthd/runner/proxy_sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/kernel/netlink.h"
#include "common/kernel/socket_diagnosis.h"

/* The kernel takes no more than net.core.somaxconn. */
enum { QUEUE = 4096, RESETS_MAX = 2 * QUEUE };

static const int families[PROXY_SOCKETS_MAX] = {AF_INET, AF_INET6};
static const char *const addresses[PROXY_SOCKETS_MAX] = {"127.0.0.1", "::1"};

void proxy_sockets_init(struct proxy_sockets *sockets, uint16_t port, bool with_ipv6)
{
    sockets->port = port;
    sockets->count = with_ipv6 ? 2 : 1;
    for (size_t i = 0; i < PROXY_SOCKETS_MAX; i++)
        sockets->fds[i] = -1;
}

/* Returns a listening socket, or -1 with errno. That of IPv6 takes no other family. */
static int open_socket(int family, uint16_t port)
{
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const int on = 1;
    /* Python sets TCP_NODELAY only where the protocol is named. */
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if ((family == AF_INET ? bind(fd, (const struct sockaddr *)&v4, sizeof(v4))
                           : bind(fd, (const struct sockaddr *)&v6, sizeof(v6))) == 0 &&
        listen(fd, QUEUE) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* Says who holds the port, as far as sock_diag(7) knows. */
static int describe_holder(const struct proxy_sockets *sockets, size_t i, struct error *error)
{
    struct listener holder = {0};
    struct error unknown;
    int diagnosis = netlink_open(NETLINK_SOCK_DIAG, &unknown);
    const char *kind = NULL;
    if (diagnosis >= 0 &&
        listener_find(diagnosis, families[i], sockets->port, &holder, &unknown) == 1)
        kind = "another process,";
    else if (diagnosis >= 0 &&
             socket_find_connection(diagnosis, families[i], sockets->port, &holder, &unknown) == 1)
        kind = "a connection of a process";
    if (diagnosis >= 0)
        close(diagnosis);
    if (kind == NULL)
        return error_set(error, EX_UNAVAILABLE,
                         "port %u of %s is held by a socket that neither listens nor is connected",
                         sockets->port, addresses[i]);
    return error_set(error, EX_UNAVAILABLE, "port %u of %s is held by %s of uid %u", sockets->port,
                     addresses[i], kind, holder.uid);
}

int proxy_sockets_open(struct proxy_sockets *sockets, struct error *error)
{
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->fds[i] >= 0)
            continue;
        sockets->fds[i] = open_socket(families[i], sockets->port);
        if (sockets->fds[i] >= 0)
            continue;
        if (errno == EADDRINUSE)
            return describe_holder(sockets, i, error);
        return error_set(error, EX_UNAVAILABLE, "port %u of %s: %s", sockets->port, addresses[i],
                         strerror(errno));
    }
    return 0;
}

void proxy_sockets_reset_waiting(const struct proxy_sockets *sockets)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    for (size_t i = 0; i < sockets->count; i++) {
        for (int n = 0; n < RESETS_MAX; n++) {
            int fd = accept4(sockets->fds[i], NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0)
                break;
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
            close(fd);
        }
    }
}

void proxy_sockets_close(struct proxy_sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->fds[i] >= 0)
            close(sockets->fds[i]);
        sockets->fds[i] = -1;
    }
}
