#ifndef HEALTHD_RUNNER_PROXY_SOCKETS_H
#define HEALTHD_RUNNER_PROXY_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { PROXY_SOCKETS_MAX = 2 };

/* The sockets on which the proxy listens, 127.0.0.1 and, with IPv6, ::1. They stay open as long as
 * the runner lives: nobody else can take the port while mitmdump is started again, and a connection
 * that comes meanwhile waits. */
struct proxy_sockets {
    uint16_t port;
    size_t count;               /* 1, or 2 with IPv6 */
    int fds[PROXY_SOCKETS_MAX]; /* -1: not open; IPv4 first */
};

void proxy_sockets_init(struct proxy_sockets *sockets, uint16_t port, bool with_ipv6);

/* Opens those that are not open. 0, or -1 with an error that names the owner of what is in the
 * way. */
int proxy_sockets_open(struct proxy_sockets *sockets, struct error *error);

/* Resets the connections that wait to be accepted, a bounded number. */
void proxy_sockets_reset_waiting(const struct proxy_sockets *sockets);

/* From now on connections are refused, once no worker listens either. */
void proxy_sockets_close(struct proxy_sockets *sockets);

#endif
