#include "healthd/http/clients.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/kernel/canary.h"
#include "healthd/http/watch.h"

enum {
    DEADLINE_MS = 2000,
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
    struct clients_callbacks owner;
    uint64_t arrivals;
    uint64_t dropped;
    unsigned int present;
    struct client all[CLIENTS_MAX];
} clients;

/* What each client has sent so far. It is apart from struct client, so that a walk over the clients
 * touches little memory, and unused buffers take none. */
static char inputs[CLIENTS_MAX][HTTP_REQUEST_MAX];

void clients_open(int epoll, const struct clients_callbacks *owner)
{
    clients.epoll = epoll;
    clients.owner = *owner;
}

static void end_client(struct client *client)
{
    close(client->fd);
    client->state = CLIENT_FREE;
    clients.present--;
}

/* Has the client sent its whole request and no more? Then nothing is left unread. */
static bool is_all_read(const struct client *client, const struct http_request *request,
                        size_t head_size)
{
    return request->status == 200 && !request->has_body && client->used == head_size;
}

/* head_size is that of the request, 0 if the request is not complete. */
static void give_answer(struct client *client, const struct http_request *request, size_t head_size)
{
    static char text[ANSWER_MAX];
    struct http_answer answer = {.status = request->status,
                                 .body = "",
                                 .head_only = request->method == METHOD_HEAD,
                                 .canary = client->canary};
    clients.owner.answer(clients.owner.context, request, &answer);
    size_t size = http_answer_format(&answer, text, sizeof(text));
    /* The send buffer of a new connection takes the whole answer. With MSG_MORE the end of the
     * connection goes in the same packet. */
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
    size_t head_size = http_request_parse(client->input, client->used, &request);
    if (head_size > 0)
        give_answer(client, &request, head_size);
    else if (got == 0)
        end_client(client);
}

bool clients_end_oldest(void)
{
    struct client *oldest = NULL;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &clients.all[i];
        if (client->state != CLIENT_FREE && (oldest == NULL || client->number < oldest->number))
            oldest = client;
    }
    if (oldest != NULL) {
        end_client(oldest);
        clients.dropped++;
    }
    return oldest != NULL;
}

/* Returns a free place. If there is none, the oldest client ends. */
static struct client *take_place(void)
{
    for (;;) {
        for (size_t i = 0; i < CLIENTS_MAX; i++)
            if (clients.all[i].state == CLIENT_FREE)
                return &clients.all[i];
        clients_end_oldest();
    }
}

/* Gives a place to a client that is not finished, and watches it. */
static void keep_client(const struct client *guest)
{
    struct client *client = take_place();
    size_t place = (size_t)(client - clients.all);
    *client = *guest;
    client->input = inputs[place];
    memcpy(client->input, guest->input, guest->used);
    if (watch(clients.epoll, client->fd, place) != 0)
        end_client(client);
}

/* Most requests have arrived already: their clients are answered without taking a place. */
void clients_begin(int fd, int family)
{
    static char input[HTTP_REQUEST_MAX];
    struct client guest = {
        .state = CLIENT_READING,
        .fd = fd,
        .deadline_ms = clock_ms() + DEADLINE_MS,
        .number = ++clients.arrivals,
        .canary = canary_was_destination(fd, family),
        .input = input,
    };
    clients.present++;
    if (guest.canary && clients.owner.canary_arrived(clients.owner.context, family, fd))
        end_client(&guest);
    else
        read_request(&guest);
    if (guest.state != CLIENT_FREE)
        keep_client(&guest);
}

unsigned int clients_present(void)
{
    return clients.present;
}

uint64_t clients_dropped(void)
{
    return clients.dropped;
}

void clients_event(size_t place)
{
    struct client *client = &clients.all[place];
    if (client->state == CLIENT_READING)
        read_request(client);
    else if (client->state == CLIENT_DRAINING)
        drain(client);
}

int64_t clients_expire(int64_t now_ms)
{
    const struct http_request too_late = {.status = 408, .method = METHOD_GET};
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &clients.all[i];
        if (client->state == CLIENT_FREE)
            continue;
        if (client->deadline_ms <= now_ms) {
            if (client->state == CLIENT_READING)
                give_answer(client, &too_late, 0);
            if (client->state != CLIENT_FREE)
                end_client(client);
        } else if (client->deadline_ms < next_ms) {
            next_ms = client->deadline_ms;
        }
    }
    return next_ms;
}
