#ifndef HEALTHD_RUNNER_OWN_LISTENER_H
#define HEALTHD_RUNNER_OWN_LISTENER_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/kernel/socket_diagnosis.h"

/* Who is to listen where. */
struct own_listener {
    int diagnosis; /* sock_diag */
    pid_t pid;
    uint16_t port;
};

/* Finds the listener on the loopback address of family and makes sure that it is the process's: of
 * our user, and open in that process, unless its inode is the known one (0 for none). 0, or -1 with
 * error: nobody listens, or somebody else does. */
int own_listener_find(const struct own_listener *own, int family, uint32_t known,
                      struct listener *found, struct error *error);

#endif
