#ifndef HEALTHD_RUNNER_MITMDUMP_H
#define HEALTHD_RUNNER_MITMDUMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "healthd/link/report.h"
#include "healthd/runner/ca_watch.h"
#include "healthd/runner/output.h"
#include "healthd/runner/start.h"

/* One mitmdump and all that is known of it. The runner calls mitmdump_tick when deadline_ms is
 * reached or something has happened, and only reads the other members. */
struct mitmdump {
    const struct config *config;
    int diagnosis;  /* sock_diag */
    bool with_ipv6; /* it listens on ::1, too */

    pid_t pid; /* 0: no process */
    struct output output;
    struct ca_file ca_file;          /* the one that it has read */
    unsigned int failures;           /* in a row */
    enum restart_cause cause;        /* of the last failure, or of the one that is under way */
    char last_end[STATE_ERROR_SIZE]; /* why the previous one ended; cleared when this one listens */
    bool failed;                     /* the next start is a restart */
    int64_t started_ms;
    int64_t silent_since_ms;    /* since when it does not listen */
    int64_t listening_since_ms; /* 0: it has not listened yet */
    struct start start;
    int64_t deadline_ms;  /* of the next thing to do, INT64_MAX for none */
    bool stopping;        /* told to end for good */
    bool ending;          /* told to end, to be started again */
    struct report report; /* what is told about it */
};

/* Prepares it; the first tick starts the process. 0, or -1 with error. */
int mitmdump_init(struct mitmdump *mitmdump, const struct config *config, struct error *error);

/* Does what is due: starts the process, looks for its listener, ends it by force. */
void mitmdump_tick(struct mitmdump *mitmdump);

/* To be called when the process has ended with that wait status and was just reaped. Only then can
 * another process get its pid, so this is never about an earlier process. */
void mitmdump_ended(struct mitmdump *mitmdump, int wait_status);

/* Asks the process to end, with SIGTERM now and SIGKILL after 5 s. */
void mitmdump_stop(struct mitmdump *mitmdump);

/* True when it was told to stop and no process is left. */
bool mitmdump_is_gone(const struct mitmdump *mitmdump);

#endif
