#ifndef HEALTHD_LINK_REPORT_H
#define HEALTHD_LINK_REPORT_H

#include <stdint.h>

#include "common/state/state.h"

/* Why a worker had to be started again. */
enum restart_cause {
    CAUSE_NONE = -1,
    CAUSE_EXITED,
    CAUSE_KILLED,        /* by a signal that was not ours */
    CAUSE_HUNG,          /* its pulse was silent */
    CAUSE_START_TIMEOUT, /* its start did not end */
    CAUSE_CA_CHANGED,    /* setup has put another CA in place */
    CAUSE_NOT_STARTED,   /* something that it needs was not there */
    CAUSES
};

/* What the runner tells the responder about mitmdump, one packet for each change, over the socket
 * pair between them. Nothing is sent the other way: its end is the order to stop. */
struct report {
    enum mitm_state state; /* of the worker that is worst off */
    uint32_t pid;          /* of the first worker that is up, 0 for none */
    uint32_t workers;      /* how many are wanted */
    uint32_t restarts[CAUSES];
    uint32_t start_ms; /* how long the last start of a worker took, 0 for none yet */
    uint32_t state_write_failures;
    char error[STATE_ERROR_SIZE];
    char ca_error[STATE_ERROR_SIZE]; /* what is wrong with the CA's file, "" for nothing */
};

#endif
