#ifndef HEALTHD_SERVER_H
#define HEALTHD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "healthd/http.h"

/* The HTTP server: listening sockets and a bounded number of clients, each with one absolute
 * deadline, the oldest dropped first. It decides nothing about the content. */

enum { LISTENERS_MAX = 4 };

struct listeners {
    size_t count;
    int fds[LISTENERS_MAX];
    int families[LISTENERS_MAX];
};

/* Listens where the configuration says and on loopback in any case. 0, or -1 with error. */
int listeners_open(const struct config *config, struct listeners *listeners, struct error *error);

/* What the server asks and tells its owner. */
struct server_owner {
    void *context;
    /* Fills the answer's status and body; the body must live until the next call. */
    void (*answer)(void *context, const struct http_request *request, struct http_answer *answer);
    /* A request has been answered with that status, by whomever. */
    void (*answered)(void *context, const struct http_request *request, int status);
    /* A connection has come by the canary of that family. True if nothing more is to come of it. */
    bool (*canary_landed)(void *context, int family, int fd);
};

/* Registers the listening sockets with epoll. The server is one for the process. 0 or -1. */
int server_open(int epoll, const struct listeners *listeners, const struct server_owner *owner,
                struct error *error);

/* Handles one event whose data was registered by the server. */
void server_event(uint64_t data);

/* Accepts what waits at the listening sockets now. */
void server_accept_waiting(void);

/* How many clients there are, and how many had to give way to newer ones so far. */
unsigned int server_clients(void);
uint64_t server_dropped(void);

/* Ends the clients whose time is over. Returns when the next one's is, INT64_MAX for none. */
int64_t server_expire(void);

#endif
