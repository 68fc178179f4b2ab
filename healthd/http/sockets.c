#include "healthd/http/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Listening is tried again, because setup holds the port for a moment to prove the rules. */
enum { BACKLOG = 4096, TRIES = 100, PAUSE_NS = 20 * 1000 * 1000 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static union address address_v4(struct in_addr host, uint16_t port)
{
    return (union address){
        .v4 = {.sin_family = AF_INET, .sin_addr = host, .sin_port = htons(port)}};
}

static union address address_v6(struct in6_addr host, uint16_t port)
{
    return (union address){
        .v6 = {.sin6_family = AF_INET6, .sin6_addr = host, .sin6_port = htons(port)}};
}

static int listen_on(const union address *address)
{
    int one = 1;
    int family = address->any.sa_family;
    socklen_t size = family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* One socket per family, because the option that tells the original destination differs. */
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, &address->any, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* An address that does not exist here (no IPv6, say) is an error only where it was asked for. */
static int add(struct listeners *listeners, union address address, bool required, uint16_t port,
               struct error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    int fd = listen_on(&address);
    for (int tries = 1; fd < 0 && errno == EADDRINUSE && tries < TRIES; tries++) {
        nanosleep(&pause, NULL);
        fd = listen_on(&address);
    }
    if (fd >= 0) {
        listeners->families[listeners->count] = address.any.sa_family;
        listeners->fds[listeners->count++] = fd;
        return 0;
    }
    if (!required && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
        return 0;
    return error_set(error, EX_UNAVAILABLE, "listen on port %u of " CONFIG_PREFIX "HTTP_ADDR: %s",
                     port, strerror(errno));
}

static bool covers_loopback4(const struct http_address *http)
{
    return http->family == AF_INET && (http->host.v4.s_addr == htonl(INADDR_ANY) ||
                                       http->host.v4.s_addr == htonl(INADDR_LOOPBACK));
}

static bool covers_loopback6(const struct http_address *http)
{
    return http->family == AF_INET6 &&
           (IN6_IS_ADDR_UNSPECIFIED(&http->host.v6) || IN6_IS_ADDR_LOOPBACK(&http->host.v6));
}

int listeners_open(const struct config *config, struct listeners *listeners, struct error *error)
{
    const struct http_address *http = &config->http;
    const struct in_addr any4 = {htonl(INADDR_ANY)}, loopback4 = {htonl(INADDR_LOOPBACK)};
    bool everywhere = http->family == AF_UNSPEC;
    uint16_t port = http->port;
    listeners->count = 0;
    if (http->family == AF_INET &&
        add(listeners, address_v4(http->host.v4, port), true, port, error) != 0)
        return -1;
    if (http->family == AF_INET6 &&
        add(listeners, address_v6(http->host.v6, port), true, port, error) != 0)
        return -1;
    if (!covers_loopback4(http) &&
        add(listeners, address_v4(everywhere ? any4 : loopback4, port), true, port, error) != 0)
        return -1;
    if (!covers_loopback6(http))
        return add(listeners, address_v6(everywhere ? in6addr_any : in6addr_loopback, port), false,
                   port, error);
    return 0;
}
