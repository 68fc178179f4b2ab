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
};

/* Listens where the configuration says and on loopback in any case. 0, or -1 with error. */
int listeners_open(const struct config *config, struct listeners *listeners, struct error *error);

/* What the server asks and tells its owner. */
struct server_owner {
    void *context;
    /* Fills the answer's status and body; the body must live until the next call. */
    void (*answer)(void *context, const struct http_request *request, struct http_answer *answer);
    /* A connection has come by the canary of that family. */
    void (*canary_landed)(void *context, int family);
};

/* Registers the listening sockets with epoll. The server is one for the process. 0 or -1. */
int server_open(int epoll, const struct listeners *listeners, const struct server_owner *owner,
                struct error *error);

/* Handles one event whose data was registered by the server. */
void server_event(uint64_t data);

/* Ends the clients whose time is over. Returns when the next one's is, INT64_MAX for none. */
int64_t server_expire(void);

#endif
