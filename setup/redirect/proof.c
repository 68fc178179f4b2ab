#include "setup/redirect/proof.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/kernel/canary.h"

enum { DEADLINE_MS = 5000, CONNECTS = 3 };

/* An address of either family. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage space;
};

static socklen_t loopback(int family, uint16_t port, union address *address)
{
    memset(address, 0, sizeof(*address));
    address->any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        address->v4.sin_port = htons(port);
        address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof(address->v4);
    }
    address->v6.sin6_port = htons(port);
    address->v6.sin6_addr = in6addr_loopback;
    return sizeof(address->v6);
}

/* -1 with errno, EADDRINUSE where somebody else has the port. */
static int listen_on_health_port(int family, uint16_t port)
{
    union address address;
    socklen_t size = loopback(family, port, &address);
    int one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, &address.any, size) == 0 && listen(fd, 8) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static int connect_to_canary(int family, struct error *error)
{
    union address canary;
    socklen_t size = canary_address(family, &canary.space);
    const struct timeval deadline = {.tv_sec = DEADLINE_MS / 1000};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, 1, "proof: socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    if (connect(fd, &canary.any, size) == 0)
        return fd;
    /* If SO_SNDTIMEO ends the connect, errno is EINPROGRESS. */
    int reason = errno == EINPROGRESS ? ETIMEDOUT : errno;
    error_set(error, EX_UNAVAILABLE, "proof: connect to the canary %s: %s%s", canary_name(family),
              reason == ETIMEDOUT ? "timed out" : strerror(reason),
              reason == ECONNREFUSED ? " (the redirect rules are not in effect)" : "");
    close(fd);
    errno = reason;
    return -1;
}

/* Only a canary's connection counts; others may come to the same port. */
static int expect_on(int family, int listener, int connected, struct error *error)
{
    struct pollfd incoming = {.fd = listener, .events = POLLIN};
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    union address ours = {0};
    socklen_t size = sizeof(ours);
    if (getsockname(connected, &ours.any, &size) != 0)
        return error_set(error, 1, "proof: getsockname: %s", strerror(errno));
    while (poll(&incoming, 1, DEADLINE_MS) == 1) {
        union address peer = {0};
        socklen_t peer_size = sizeof(peer);
        int accepted = accept4(listener, &peer.any, &peer_size, SOCK_CLOEXEC);
        if (accepted < 0)
            continue;
        bool proved = canary_was_destination(accepted, family);
        /* Closed by a reset: nothing was sent, and no TIME_WAIT shall stay behind. */
        setsockopt(accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(accepted);
        /* Ours may come from another port: NAT changes the port if it is still in use. */
        if (proved)
            return 0;
        if (memcmp(&peer, &ours, size) != 0)
            continue;
        return error_set(error, EX_UNAVAILABLE,
                         "proof: the connection to %s arrived with another destination",
                         canary_name(family));
    }
    return error_set(error, EX_UNAVAILABLE,
                     "proof: the connection to %s did not arrive at the health port",
                     canary_name(family));
}

/* healthd says in every answer whether the connection came by the canary. */
static int expect_answer(int connected, uint16_t port, struct error *error)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: canary\r\n\r\n";
    char answer[1024];
    size_t used = 0;
    if (send(connected, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
        return error_set(error, EX_UNAVAILABLE, "proof: send: %s", strerror(errno));
    while (used < sizeof(answer) - 1) {
        ssize_t got = recv(connected, answer + used, sizeof(answer) - 1 - used, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    answer[used] = '\0';
    if (strstr(answer, "\r\n" CANARY_HEADER "\r\n") != NULL)
        return 0;
    return error_set(error, EX_UNAVAILABLE,
                     "proof: port %u is held by a program that is not healthd of this version",
                     port);
}

int proof_run(int family, uint16_t health_port, struct error *error)
{
    int result = -1;
    int connected = -1;
    int listener = listen_on_health_port(family, health_port);
    if (listener < 0 && errno != EADDRINUSE)
        return error_set(error, 1, "proof: listen on port %u of loopback (IPv%c): %s", health_port,
                         family == AF_INET ? '4' : '6', strerror(errno));
    /* Connection tracking may remember the first port from an earlier proof, and another health
     * port with it. */
    for (int i = 0; i < CONNECTS && connected < 0 && (i == 0 || errno == ECONNREFUSED); i++)
        connected = connect_to_canary(family, error);
    if (connected < 0)
        goto out;
    result = listener >= 0 ? expect_on(family, listener, connected, error)
                           : expect_answer(connected, health_port, error);
out:
    if (connected >= 0)
        close(connected);
    if (listener >= 0)
        close(listener);
    return result;
}
