#ifndef HEALTHD_RESPONDER_READINESS_H
#define HEALTHD_RESPONDER_READINESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "healthd/http/answer.h"
#include "healthd/link/pulse.h"
#include "healthd/link/report.h"
#include "healthd/responder/canaries.h"

enum { REASON_SIZE = 512, CONDITIONS = 12 };

/* LACKS: it does not hold, and is no reason for 503. */
enum holding { DOES_NOT_APPLY, HOLDS, FAILS, LACKS };

struct verdict {
    bool ready;
    const char *reason; /* that of the first failure, if not ready */
    struct {
        enum holding holding;
        char reason[REASON_SIZE]; /* where it does not hold */
    } conditions[CONDITIONS];     /* in the order of conditions.h */
    int64_t ca_expires;           /* seconds since 1970, 0 where not known */
};

/* What readiness is judged by. The responder fills it, and sets changed with every change. */
struct readiness {
    const struct config *config;
    int route; /* socket of NETLINK_ROUTE */
    bool stopping;
    bool changed;
    struct report report;      /* the runner's last */
    const struct pulse *pulse; /* NULL without a runner */
    struct probes probes;
    int64_t judged_ms;
    int64_t warn_again_ms; /* when to warn again of the CA's end */
    struct verdict verdict;
};

/* Returns the verdict, which is at most 10 ms old and belongs to readiness. */
const struct verdict *readiness_judge(struct readiness *readiness);

/* Prints one line per condition, as Kubernetes does. */
void verdict_print(const struct verdict *verdict, struct text *out);

/* Warns once a day if the CA ends within 30 days. */
void readiness_warn(struct readiness *readiness);

#endif
