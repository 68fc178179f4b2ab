#ifndef HEALTHD_HTTP_SERVER_H
#define HEALTHD_HTTP_SERVER_H

#include <stdint.h>

#include "common/base/error.h"
#include "healthd/http/clients.h"
#include "healthd/http/sockets.h"

/* The HTTP server: accepts at the listening sockets. There is one in a process. */

/* Registers the listening sockets with epoll. 0, or -1 with error. */
int server_open(int epoll, const struct listeners *listeners, const struct clients_callbacks *owner,
                struct error *error);

/* Handles one event whose data was registered by the server: below CLIENTS_MAX + LISTENERS_MAX. */
void server_event(uint64_t data);

/* Accepts what waits at the listening sockets now. */
void server_accept_waiting(void);

/* Ends the clients whose time is over. Returns when there is something to do next, INT64_MAX for
 * never. */
int64_t server_expire(void);

#endif
