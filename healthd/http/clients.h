#ifndef HEALTHD_HTTP_CLIENTS_H
#define HEALTHD_HTTP_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "healthd/http/answer.h"
#include "healthd/http/request.h"

/* The clients that the server has accepted, a bounded number. One request of each is read, answered
 * and drained, with one deadline for all of that. The oldest is dropped first. The content of
 * answers comes from the owner. There is one such set in a process. */

enum { CLIENTS_MAX = 128 };

/* What the clients call their owner for. */
struct clients_callbacks {
    void *context;
    /* Fills the answer's status and body, also for a request that could not be parsed (see its
     * status). The body must live until the next call. */
    void (*answer)(void *context, const struct http_request *request, struct http_answer *answer);
    /* A connection has come by the canary of that family. True if no request will follow on it. */
    bool (*canary_arrived)(void *context, int family, int fd);
};

/* Sets the epoll that will report a client's input, with its place below CLIENTS_MAX as data. */
void clients_open(int epoll, const struct clients_callbacks *owner);

/* Takes over an accepted, non-blocking connection. */
void clients_begin(int fd, int family);

/* There is something to read from the client in that place. */
void clients_event(size_t place);

/* Ends the oldest. False if there is none. */
bool clients_end_oldest(void);

/* Ends the clients whose deadline is over. Returns the next deadline, INT64_MAX for none. */
int64_t clients_expire(int64_t now_ms);

/* How many there are, and how many had to give way to newer ones so far. */
unsigned int clients_present(void);
uint64_t clients_dropped(void);

#endif
