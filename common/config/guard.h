#ifndef COMMON_CONFIG_GUARD_H
#define COMMON_CONFIG_GUARD_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* The guard is what the filter table refuses: QUIC, TCP that the redirect has missed, and with
 * IPV6=reject TCP over IPv6. Its first rule refuses datagrams to the canary's address and port. The
 * kernel tells a sender whose datagram its own output chain has refused (EPERM): that proves the
 * chain without a privilege, an answer or a packet outside. */

/* Is this family guarded? IPv6 is not with IPV6=off. */
bool guard_is_wanted(const struct config *config, int family);

/* 0 if a datagram to the canary is refused; -1 with error. */
int guard_prove(int family, struct error *error);

#endif
