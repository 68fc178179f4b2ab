#ifndef HEALTHD_HTTP_SOCKETS_H
#define HEALTHD_HTTP_SOCKETS_H

#include <stddef.h>

#include "common/base/error.h"
#include "common/config/config.h"

enum { LISTENERS_MAX = 4 };

/* The listening sockets of the HTTP server. */
struct listeners {
    size_t count;
    int fds[LISTENERS_MAX];
    int families[LISTENERS_MAX];
};

/* Listens where the configuration says and on loopback in any case. 0, or -1 with error. */
int listeners_open(const struct config *config, struct listeners *listeners, struct error *error);

#endif
