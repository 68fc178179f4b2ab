#include "healthd/http/server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "healthd/http/clients.h"
#include "healthd/http/watch.h"

enum {
    PAUSE_MS = 100,
    ACCEPTS_MAX = 64, /* in one go, so that the loop's other business is not held up */
};

static struct {
    int epoll;
    struct listeners listeners;
    int64_t pause_until_ms; /* 0: connections are accepted */
} server;

/* epoll data: the place of a client, or CLIENTS_MAX plus the index of a listening socket. */
static int watch_listener(size_t index)
{
    return watch(server.epoll, server.listeners.fds[index], CLIENTS_MAX + index);
}

int server_open(int epoll, const struct listeners *listeners, const struct clients_callbacks *owner,
                struct error *error)
{
    server.epoll = epoll;
    server.listeners = *listeners;
    clients_open(epoll, owner);
    for (size_t i = 0; i < listeners->count; i++)
        if (watch_listener(i) != 0)
            return error_set(error, 1, "epoll: %s", strerror(errno));
    return 0;
}

/* A connection that cannot be accepted now would make its listener ready again and again. */
static void pause_accepting(void)
{
    for (size_t i = 0; i < server.listeners.count && server.pause_until_ms == 0; i++)
        epoll_ctl(server.epoll, EPOLL_CTL_DEL, server.listeners.fds[i], NULL);
    server.pause_until_ms = clock_ms() + PAUSE_MS;
}

static void resume_accepting(void)
{
    server.pause_until_ms = 0;
    for (size_t i = 0; i < server.listeners.count; i++)
        watch_listener(i);
}

/* If descriptors have run out, the oldest client ends. */
static void accept_clients(size_t index)
{
    int listener = server.listeners.fds[index];
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            clients_begin(fd, server.listeners.families[index]);
        else if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        else if ((errno != EMFILE && errno != ENFILE) || !clients_end_oldest()) {
            pause_accepting();
            return;
        }
    }
}

void server_accept_waiting(void)
{
    for (size_t i = 0; i < server.listeners.count; i++)
        accept_clients(i);
}

void server_event(uint64_t data)
{
    if (data < CLIENTS_MAX)
        clients_event((size_t)data);
    else
        accept_clients((size_t)data - CLIENTS_MAX);
}

int64_t server_expire(void)
{
    int64_t now = clock_ms();
    int64_t next = clients_expire(now);
    if (server.pause_until_ms != 0 && server.pause_until_ms <= now)
        resume_accepting();
    return server.pause_until_ms != 0 && server.pause_until_ms < next ? server.pause_until_ms
                                                                      : next;
}
