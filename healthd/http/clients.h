#ifndef HEALTHD_HTTP_CLIENTS_H
#define HEALTHD_HTTP_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "healthd/http/answer.h"
#include "healthd/http/request.h"

/* Those whom the server has accepted: a bounded number, one request of each, read, answered and
 * drained, with one absolute deadline for all of that; the oldest is dropped first. It decides
 * nothing about the content. There is one such set in a process. */

enum { CLIENTS_MAX = 128 };

/* What is asked and told of their owner. */
struct clients_owner {
    void *context;
    /* Fills the answer's status and body, where a request could not be parsed, too (its status says
     * so); the body must live until the next call. */
    void (*answer)(void *context, const struct http_request *request, struct http_answer *answer);
    /* A connection has come by the canary of that family. True if nothing more is to come of it. */
    bool (*canary_landed)(void *context, int family, int fd);
};

/* What comes from them will be told by epoll, with a place below CLIENTS_MAX as data. */
void clients_open(int epoll, const struct clients_owner *owner);

/* Takes an accepted connection, which does not block. */
void clients_begin(int fd, int family);

/* There is something to read from the client in that place. */
void clients_event(size_t place);

/* Ends the oldest. False if there is none. */
bool clients_end_oldest(void);

/* Ends those whose time is over. Returns when the next one's is, INT64_MAX for none. */
int64_t clients_expire(int64_t now_ms);

/* How many there are, and how many had to give way to newer ones so far. */
unsigned int clients_present(void);
uint64_t clients_dropped(void);

#endif
