#ifndef COMMON_KERNEL_CANARY_H
#define COMMON_KERNEL_CANARY_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/base/error.h"

/* The canary: an unused address and port on loopback, which the first redirect rule sends to the
 * health port. A connection to it that arrives there proves that the rules are live, without a
 * privilege and without a packet that leaves the pod. */
#define CANARY_ADDRESS_V4 "127.0.0.2"
#define CANARY_ADDRESS_V6 "::1"
enum { CANARY_PORT = 9 };

/* The field that healthd adds to its answer on a connection that came by the canary. */
#define CANARY_HEADER "X-OpenSandbox-Canary: yes"

/* The canary's address and port as text: "127.0.0.2:9", "[::1]:9". */
const char *canary_name(int family);

/* Fills in the canary's address. Returns its size. */
socklen_t canary_address(int family, struct sockaddr_storage *address);

/* Opens a non-blocking socket of that type (SOCK_STREAM, SOCK_DGRAM) and connects it to the canary.
 * Returns a descriptor, also while the connection is under way, or -1 with errno. */
int canary_connect(int family, int type);

/* Was this accepted connection, of a socket of that family, meant for the canary before it was
 * redirected? */
bool canary_was_destination(int accepted, int family);

/* Sends a datagram to the canary, which the first rule of the guard (our rules in the filter table)
 * must refuse. The kernel reports that to the sender: EPERM proves the chain without a privilege,
 * an answer or a packet that leaves the pod. 0, or -1 with error. */
int canary_prove_guard(int family, struct error *error);

#endif
