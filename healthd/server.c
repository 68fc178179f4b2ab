#include "healthd/server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/canary.h"
#include "healthd/clock.h"

enum {
    CLIENTS_MAX = 128,
    DEADLINE_MS = 2000,
    PAUSE_MS = 100,
    ACCEPTS_MAX = 64,       /* in one go, so that the loop's other business is not held up */
    DRAIN_MAX = 256 * 1024, /* bytes that a client may still send after the answer */
    ANSWER_MAX = 12 * 1024,
};

/* A client that was answered is drained: closing with unread input would send a reset, which may
 * overtake the answer. */
enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_DRAINING };

struct client {
    enum client_state state;
    int fd;
    int64_t deadline_ms;
    uint64_t number; /* in the order of arrival */
    bool canary;
    char *input; /* HTTP_REQUEST_MAX bytes */
    size_t used;
    size_t drained;
};

static struct {
    int epoll;
    struct server_owner owner;
    struct listeners listeners;
    uint64_t arrivals;
    uint64_t dropped;
    unsigned int present;
    int64_t pause_until_ms; /* 0: connections are accepted */
    struct client clients[CLIENTS_MAX];
} server;

/* What each client has sent so far: apart, so that a walk over the clients is a short one, and what
 * is never needed takes no memory. */
static char inputs[CLIENTS_MAX][HTTP_REQUEST_MAX];

/* epoll data: the index of a client, or behind those, of a listening socket. */
static int watch(int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = data};
    return epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event);
}

int server_open(int epoll, const struct listeners *listeners, const struct server_owner *owner,
                struct error *error)
{
    server.epoll = epoll;
    server.owner = *owner;
    server.listeners = *listeners;
    for (size_t i = 0; i < listeners->count; i++)
        if (watch(listeners->fds[i], CLIENTS_MAX + i) != 0)
            return error_set(error, 1, "epoll: %s", strerror(errno));
    return 0;
}

static void end_client(struct client *client)
{
    close(client->fd);
    client->state = CLIENT_FREE;
    server.present--;
}

/* Closing with unread input would send a reset, which may overtake the answer. Where the client has
 * sent all of its request, and no more, there is none. */
static bool is_all_read(const struct client *client, const struct http_request *request,
                        size_t head_size)
{
    return request->status == 200 && !request->has_body && client->used == head_size;
}

/* head_size: of the request; 0 where it is not whole. */
static void answer(struct client *client, const struct http_request *request, size_t head_size)
{
    static const struct {
        int status;
        const char *body;
    } refusals[] = {{400, "bad request\n"},
                    {408, "request not complete within 2 s\n"},
                    {431, "request larger than 4096 bytes\n"},
                    {505, "HTTP/1.0 or HTTP/1.1 only\n"}};
    static char text[ANSWER_MAX];
    struct http_answer answer = {.status = request->status,
                                 .body = "",
                                 .head_only = request->method == METHOD_HEAD,
                                 .canary = client->canary};
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (refusals[i].status == request->status)
            answer.body = refusals[i].body;
    if (request->status == 200)
        server.owner.answer(server.owner.context, request, &answer);
    server.owner.answered(server.owner.context, request, answer.status);
    size_t size = http_format(&answer, text, sizeof(text));
    /* A fresh connection's send buffer takes it whole; its end goes in the same packet. */
    if (send(client->fd, text, size, MSG_NOSIGNAL | MSG_MORE) != (ssize_t)size ||
        is_all_read(client, request, head_size)) {
        end_client(client);
        return;
    }
    shutdown(client->fd, SHUT_WR);
    client->state = CLIENT_DRAINING;
}

static void drain(struct client *client)
{
    char waste[4096];
    ssize_t got = recv(client->fd, waste, sizeof(waste), 0);
    if (got > 0)
        client->drained += (size_t)got;
    bool over = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (over || client->drained > DRAIN_MAX)
        end_client(client);
}

static void read_request(struct client *client)
{
    struct http_request request;
    ssize_t got =
        recv(client->fd, client->input + client->used, HTTP_REQUEST_MAX - client->used, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        end_client(client);
        return;
    }
    client->used += (size_t)got;
    size_t head_size = http_parse(client->input, client->used, &request);
    if (head_size > 0)
        answer(client, &request, head_size);
    else if (got == 0)
        end_client(client);
}

/* False if there is no client. */
static bool end_oldest_client(void)
{
    struct client *oldest = NULL;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &server.clients[i];
        if (client->state != CLIENT_FREE && (oldest == NULL || client->number < oldest->number))
            oldest = client;
    }
    if (oldest != NULL) {
        end_client(oldest);
        server.dropped++;
    }
    return oldest != NULL;
}

/* A free place, which is made where there is none. */
static struct client *take_place(void)
{
    for (;;) {
        for (size_t i = 0; i < CLIENTS_MAX; i++)
            if (server.clients[i].state == CLIENT_FREE)
                return &server.clients[i];
        end_oldest_client();
    }
}

/* One whose business is not done gets a place, and is waited for. */
static void keep_client(const struct client *guest)
{
    struct client *client = take_place();
    size_t place = (size_t)(client - server.clients);
    *client = *guest;
    client->input = inputs[place];
    memcpy(client->input, guest->input, guest->used);
    if (watch(client->fd, place) != 0)
        end_client(client);
}

/* Most clients' requests are there already: they come and go without a place. */
static void begin_client(int fd, int family)
{
    static char input[HTTP_REQUEST_MAX];
    struct client guest = {
        .state = CLIENT_READING,
        .fd = fd,
        .deadline_ms = clock_ms() + DEADLINE_MS,
        .number = ++server.arrivals,
        .canary = canary_is_from(fd, family),
        .input = input,
    };
    server.present++;
    if (guest.canary && server.owner.canary_landed(server.owner.context, family, fd))
        end_client(&guest);
    else
        read_request(&guest);
    if (guest.state != CLIENT_FREE)
        keep_client(&guest);
}

/* What cannot be accepted now would make the listeners ready again and again. */
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
        watch(server.listeners.fds[i], CLIENTS_MAX + i);
}

/* Without descriptors the oldest client goes. */
static void accept_clients(size_t index)
{
    int listener = server.listeners.fds[index];
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            begin_client(fd, server.listeners.families[index]);
        else if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        else if ((errno != EMFILE && errno != ENFILE) || !end_oldest_client()) {
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

unsigned int server_clients(void)
{
    return server.present;
}

uint64_t server_dropped(void)
{
    return server.dropped;
}

void server_event(uint64_t data)
{
    if (data >= CLIENTS_MAX) {
        accept_clients((size_t)data - CLIENTS_MAX);
        return;
    }
    struct client *client = &server.clients[data];
    if (client->state == CLIENT_READING)
        read_request(client);
    else if (client->state == CLIENT_DRAINING)
        drain(client);
}

int64_t server_expire(void)
{
    const struct http_request too_late = {.status = 408, .method = METHOD_GET};
    int64_t now = clock_ms();
    int64_t next = INT64_MAX;
    if (server.pause_until_ms != 0 && server.pause_until_ms <= now)
        resume_accepting();
    if (server.pause_until_ms != 0)
        next = server.pause_until_ms;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &server.clients[i];
        if (client->state == CLIENT_FREE)
            continue;
        if (client->deadline_ms <= now) {
            if (client->state == CLIENT_READING)
                answer(client, &too_late, 0);
            if (client->state != CLIENT_FREE)
                end_client(client);
        } else if (client->deadline_ms < next) {
            next = client->deadline_ms;
        }
    }
    return next;
}
