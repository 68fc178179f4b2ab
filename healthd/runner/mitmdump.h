#ifndef HEALTHD_RUNNER_MITMDUMP_H
#define HEALTHD_RUNNER_MITMDUMP_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "healthd/link/pulse.h"
#include "healthd/link/report.h"
#include "healthd/runner/launcher.h"
#include "healthd/runner/proxy_sockets.h"
#include "healthd/runner/worker.h"

/* The workers, the launcher that forks them, and the sockets on which they listen. */
struct mitmdump {
    const struct config *config;
    struct proxy_sockets sockets;
    bool has_sockets;
    struct launcher launcher;
    struct worker_means means;
    struct worker workers[WORKERS_MAX]; /* means.wanted of them */
    int64_t open_again_ms;              /* when to try again to open the sockets */
    int64_t ca_look_ms;                 /* when to look at the CA's file again */
    int64_t none_up_since_ms;           /* 0: a worker is up */
    bool resets;                        /* connections that wait are reset */
    bool stopping;                      /* told to end for good */
    struct report report;               /* what is told about it */
};

/* Prepares it; the first tick opens the sockets and starts the processes. 0, or -1 with error. */
int mitmdump_init(struct mitmdump *mitmdump, const struct config *config, struct pulse *pulse,
                  struct error *error);

/* Does what is due. To be called when mitmdump_deadline is reached or something has happened. */
void mitmdump_tick(struct mitmdump *mitmdump);

/* When there is something to do next by clock_ms, INT64_MAX for never. */
int64_t mitmdump_deadline(const struct mitmdump *mitmdump);

enum { MITMDUMP_POLLED_MAX = 2 + 2 * WORKERS_MAX + PROXY_SOCKETS_MAX };

/* Fills in what to wait for, and returns how much that is. */
size_t mitmdump_poll(const struct mitmdump *mitmdump, struct pollfd polled[MITMDUMP_POLLED_MAX]);

/* Reads what poll has found there. */
void mitmdump_read(struct mitmdump *mitmdump, const struct pollfd polled[MITMDUMP_POLLED_MAX]);

/* The process has ended, and is not reaped yet: is it one of these? What it has started is in its
 * process group, and is killed. */
bool mitmdump_owns(struct mitmdump *mitmdump, pid_t pid);

/* The same process was just reaped, and had that wait status. */
void mitmdump_ended(struct mitmdump *mitmdump, pid_t pid, int wait_status);

/* Asks all processes to end, with SIGTERM now and SIGKILL after 5 s. */
void mitmdump_stop(struct mitmdump *mitmdump);

/* True when it was told to stop and no process is left. */
bool mitmdump_is_gone(const struct mitmdump *mitmdump);

#endif
