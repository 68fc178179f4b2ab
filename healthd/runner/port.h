#ifndef HEALTHD_RUNNER_PORT_H
#define HEALTHD_RUNNER_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

/* Could mitmdump listen on the port of 127.0.0.1 and, with_ipv6, of ::1? 0, or -1 with an error
 * that names the owner of the socket in the way, found by diagnosis (sock_diag). Nobody can connect
 * meanwhile. */
int port_check(int diagnosis, uint16_t port, bool with_ipv6, struct error *error);

#endif
