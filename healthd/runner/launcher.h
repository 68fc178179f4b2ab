#ifndef HEALTHD_RUNNER_LAUNCHER_H
#define HEALTHD_RUNNER_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "healthd/runner/output.h"
#include "healthd/runner/proxy_sockets.h"

/* The process that runs mitmscripts/launch.py: it has imported mitmproxy, and forks a worker at
 * each order. The worker becomes a child of the runner, which is its subreaper. Workers can be
 * started without it, only not so soon. */

enum launcher_phase {
    LAUNCHER_UNUSED,   /* MITMPROXY_FAST=off, or mitmdump is no script of Python */
    LAUNCHER_DOWN,     /* until deadline_ms */
    LAUNCHER_STARTING, /* it imports, until deadline_ms at most */
    LAUNCHER_READY
};

struct launcher {
    enum launcher_phase phase;
    char *const *command;
    const char *home;
    pid_t pid;             /* 0: no process */
    int control;           /* a socket of type SOCK_SEQPACKET; -1 for none */
    unsigned int failures; /* in a row */
    int64_t started_ms;
    int64_t deadline_ms; /* of the next thing to do, INT64_MAX for none */
    struct output output;
};

/* command is what starts it, NULL for none; home its HOME. */
void launcher_init(struct launcher *launcher, char *const *command, const char *home);

/* Does what is due: starts the process with the sockets as descriptors 4 and 5, or ends one that
 * takes too long. */
void launcher_tick(struct launcher *launcher, const struct proxy_sockets *sockets);

/* Reads what it says, to be called when its socket can be read. */
void launcher_read(struct launcher *launcher);

/* Has it forked a worker whose pulse and output are these descriptors, which stay the caller's. 0,
 * or -1 with error. */
int launcher_order(struct launcher *launcher, int pulse, int output, struct error *error);

/* It does not do what it has been told: ends it. */
void launcher_hangs(struct launcher *launcher);

/* To be called when the process has ended with that wait status and was just reaped. */
void launcher_ended(struct launcher *launcher, int wait_status);

/* Has the process end for good. */
void launcher_stop(struct launcher *launcher);

#endif
