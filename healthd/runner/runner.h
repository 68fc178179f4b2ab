#ifndef HEALTHD_RUNNER_RUNNER_H
#define HEALTHD_RUNNER_RUNNER_H

#include <stdint.h>
#include <sys/types.h>

#include "common/config/config.h"
#include "healthd/link/pulse.h"

/* The responder's side of the runner. */
struct runner_link {
    pid_t pid;   /* 0: none, or ended */
    int control; /* the socket to it; -1: none, or closed */
    const struct pulse *pulse;
};

/* The process that owns mitmdump: becomes the mitmproxy user, starts mitmdump and keeps it alive,
 * writes healthd's half of the state file, and reports to the responder on control (a socket of
 * type SOCK_SEQPACKET) until that ends or a signal comes. pulse is shared with it, and parent its
 * pid. Returns the exit status. */
int runner_run(const struct config *config, int control, struct pulse *pulse, pid_t parent);

#endif
