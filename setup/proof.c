#include "setup/proof.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/canary.h"

enum { DEADLINE_MS = 1000 };

static struct sockaddr_in address_of(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

/* -1 with errno, EADDRINUSE where somebody else has the port. */
static int listen_on_health_port(uint16_t port)
{
    struct sockaddr_in address = address_of("127.0.0.1", port);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 8) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static int connect_to_canary(struct error *error)
{
    struct sockaddr_in canary = address_of(CANARY_ADDRESS, CANARY_PORT);
    const struct timeval deadline = {.tv_sec = DEADLINE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, 1, "proof: socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    if (connect(fd, (struct sockaddr *)&canary, sizeof(canary)) == 0)
        return fd;
    error_set(error, EX_UNAVAILABLE, "proof: connect to the canary " CANARY_ADDRESS ":%d: %s%s",
              CANARY_PORT, strerror(errno),
              errno == ECONNREFUSED ? " (the redirect rules are not in effect)" : "");
    close(fd);
    return -1;
}

/* The canary's connection is the only one that counts; others may come to the same port. */
static int expect_on(int listener, int connected, struct error *error)
{
    struct pollfd incoming = {.fd = listener, .events = POLLIN};
    struct sockaddr_in ours = {0};
    socklen_t size = sizeof(ours);
    if (getsockname(connected, (struct sockaddr *)&ours, &size) != 0)
        return error_set(error, 1, "proof: getsockname: %s", strerror(errno));
    while (poll(&incoming, 1, DEADLINE_MS) == 1) {
        struct sockaddr_in peer = {0};
        size = sizeof(peer);
        int accepted = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
        if (accepted < 0)
            continue;
        bool proved = canary_is_original_destination(accepted);
        close(accepted);
        if (peer.sin_port != ours.sin_port || peer.sin_addr.s_addr != ours.sin_addr.s_addr)
            continue;
        if (proved)
            return 0;
        return error_set(error, EX_UNAVAILABLE,
                         "proof: the canary's connection arrived with another destination");
    }
    return error_set(error, EX_UNAVAILABLE,
                     "proof: the canary's connection did not arrive at the health port");
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

int proof_run(uint16_t health_port, struct error *error)
{
    int result = -1;
    int connected = -1;
    int listener = listen_on_health_port(health_port);
    if (listener < 0 && errno != EADDRINUSE)
        return error_set(error, 1, "proof: listen on 127.0.0.1:%u: %s", health_port,
                         strerror(errno));
    connected = connect_to_canary(error);
    if (connected < 0)
        goto out;
    result = listener >= 0 ? expect_on(listener, connected, error)
                           : expect_answer(connected, health_port, error);
out:
    if (connected >= 0)
        close(connected);
    if (listener >= 0)
        close(listener);
    return result;
}
