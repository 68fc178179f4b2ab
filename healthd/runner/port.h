#ifndef HEALTHD_RUNNER_PORT_H
#define HEALTHD_RUNNER_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

/* Could mitmdump listen on the port of 127.0.0.1, and of ::1? 0, or -1 with error, which names
 * whose socket is in the way, as diagnosis (sock_diag) tells. Nobody can connect meanwhile. */
int port_check(int diagnosis, uint16_t port, bool with_ipv6, struct error *error);

#endif
