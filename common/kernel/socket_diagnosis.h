#ifndef COMMON_KERNEL_SOCKET_DIAGNOSIS_H
#define COMMON_KERNEL_SOCKET_DIAGNOSIS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

/* A TCP socket as the kernel describes it (sock_diag(7)). To ask takes no connection and no
 * privilege, and nobody notices. */
struct listener {
    uid_t uid;        /* of the process that made the socket */
    uint32_t inode;   /* as in /proc/PID/fd: socket:[INODE] */
    uint32_t backlog; /* connections that wait to be accepted */
};

/* Finds the socket that would take a connection to port on the loopback address of family (AF_INET:
 * 127.0.0.1, AF_INET6: ::1), which is that address itself or a wildcard. Returns 1 and fills found,
 * 0 if nobody listens, -1 with error. diagnosis is a
 * socket of NETLINK_SOCK_DIAG (netlink_open). */
int listener_find(int diagnosis, int family, uint16_t port, struct listener *found,
                  struct error *error);

/* The same for a connected socket with that local port. */
int socket_find_connection(int diagnosis, int family, uint16_t port, struct listener *found,
                           struct error *error);

#endif
