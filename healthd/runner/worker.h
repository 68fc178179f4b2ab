#ifndef HEALTHD_RUNNER_WORKER_H
#define HEALTHD_RUNNER_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "healthd/link/pulse.h"
#include "healthd/link/report.h"
#include "healthd/runner/ca_watch.h"
#include "healthd/runner/launcher.h"
#include "healthd/runner/output.h"
#include "healthd/runner/proxy_sockets.h"

/* A worker: one mitmdump, with the runner's sockets in place of its own, which beats every second
 * from its event loop (mitmscripts/worker.py). */

enum worker_phase {
    WORKER_DOWN,     /* to be started at deadline_ms */
    WORKER_ORDERED,  /* of the launcher; its process is not known yet */
    WORKER_STARTING, /* it has not beaten yet */
    WORKER_UP,
    WORKER_ENDING /* told to end */
};

/* What all workers are started with. */
struct worker_means {
    const struct config *config;
    const struct proxy_sockets *sockets;
    struct launcher *launcher;
    char *const *command;  /* mitmdump's, where the launcher does not start it */
    struct report *report; /* counts restarts */
    unsigned int wanted;   /* how many workers there are */
};

struct worker {
    unsigned int number; /* from 1 */
    char name[16];       /* for the log: "mitmdump", or with its number if it is one of several */
    enum worker_phase phase;
    pid_t pid;                  /* 0: no process, or not known yet */
    int control;                /* the socket on which it beats, -1 for none */
    struct worker_pulse *pulse; /* what the responder sees of it */
    uint64_t counted[COUNTS];   /* by the mitmdumps that have been this worker before */
    struct output output;
    struct ca_file ca_file;     /* the one that it has read */
    unsigned int failures;      /* in a row */
    enum restart_cause cause;   /* of the last failure, or of the one that is under way */
    char why[STATE_ERROR_SIZE]; /* it ended, or has to; "" once it is up */
    bool failed;                /* the next start is a restart */
    bool backs_off;             /* the next start is later */
    bool direct;                /* it is started without the launcher */
    int64_t started_ms;
    int64_t up_ms;       /* when it first beat, 0 for not yet */
    int64_t deadline_ms; /* of the next thing to do, INT64_MAX for none */
};

void worker_init(struct worker *worker, unsigned int number, const struct worker_means *means,
                 struct worker_pulse *pulse);

/* Does what is due: starts the process, ends one that is silent, kills one that does not end. */
void worker_tick(struct worker *worker, const struct worker_means *means, bool stopping);

/* Reads its beats, to be called when its socket can be read. */
void worker_read(struct worker *worker, const struct worker_means *means);

/* Ends the process for that cause. It will be started again. */
void worker_end(struct worker *worker, enum restart_cause cause, const char *why);

/* To be called when the process has ended with that wait status and was just reaped. Only then can
 * another process get its pid, so this is never about an earlier process. */
void worker_ended(struct worker *worker, int wait_status, bool stopping);

/* Has the process end for good, with SIGTERM now and SIGKILL after 5 s. */
void worker_stop(struct worker *worker);

/* What to tell about it, and why it is not up ("" if it is). */
enum mitm_state worker_describe(const struct worker *worker, char text[static STATE_ERROR_SIZE]);

#endif
