#ifndef COMMON_KERNEL_CANARY_H
#define COMMON_KERNEL_CANARY_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/base/error.h"

/* The canary: an address and port on loopback that nobody uses, which the first redirect rule sends
 * to the health port. A connection to it that arrives there proves that the rules are live, without
 * a privilege and without a packet outside. */
#define CANARY_ADDRESS_V4 "127.0.0.2"
#define CANARY_ADDRESS_V6 "::1"
enum { CANARY_PORT = 9 };

/* What healthd adds to an answer on a connection that came by the canary. */
#define CANARY_HEADER "X-OpenSandbox-Canary: yes"

/* The canary of AF_INET or AF_INET6 for people: "127.0.0.2:9", "[::1]:9". */
const char *canary_name(int family);

/* Fills in the canary's address. Returns its size. */
socklen_t canary_address(int family, struct sockaddr_storage *address);

/* Opens a socket of that type (SOCK_STREAM, SOCK_DGRAM), non-blocking, and connects it to the
 * canary; one that is still connecting counts. Returns a descriptor, or -1 with errno. */
int canary_connect(int family, int type);

/* Was this accepted connection, of a socket of that family, meant for the canary before it was
 * redirected? */
bool canary_is_from(int accepted, int family);

/* Is a datagram to the canary refused? The first rule of the guard (what the filter table refuses)
 * does that, and the kernel tells a sender whose datagram its own output chain has refused: EPERM
 * proves the chain without a privilege, an answer or a packet outside. 0, or -1 with error. */
int canary_prove_guard(int family, struct error *error);

#endif
