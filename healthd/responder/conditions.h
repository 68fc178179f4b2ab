#ifndef HEALTHD_RESPONDER_CONDITIONS_H
#define HEALTHD_RESPONDER_CONDITIONS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/kernel/devices.h"
#include "common/state/state.h"
#include "healthd/responder/readiness.h"

/* What has been found at one moment. */
struct facts {
    const struct config *config;
    const struct report *report;
    const struct probes *probes;
    bool stopping;
    bool state_read;
    struct error state_error;  /* if it was not read */
    struct state state;        /* all zero if it was not read */
    struct devices devices;    /* of this namespace, where rules are installed */
    int64_t now_ms;            /* clock_ms */
    const struct pulse *pulse; /* of runner and workers, by the same clock; NULL without a runner */
};

/* What has to hold. The check says DOES_NOT_APPLY, HOLDS, or FAILS with the reason. */
struct condition {
    const char *name; /* as /healthz?verbose and /metrics have it */
    enum holding (*check)(const struct facts *facts, char reason[static REASON_SIZE]);
};

/* All of them, in the order in which the parts start, so that the first failure names what is
 * awaited next. */
extern const struct condition conditions[CONDITIONS];

#endif
