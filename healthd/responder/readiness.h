#ifndef HEALTHD_RESPONDER_READINESS_H
#define HEALTHD_RESPONDER_READINESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "healthd/http/answer.h"
#include "healthd/link/report.h"
#include "healthd/responder/canaries.h"

enum { REASON_SIZE = 512, CONDITIONS = 14 };

enum holding { DOES_NOT_APPLY, HOLDS, FAILS };

struct verdict {
    bool ready;
    const char *reason; /* of the first that fails, where not ready */
    struct {
        enum holding holding;
        char reason[REASON_SIZE];    /* where it fails */
    } conditions[CONDITIONS];        /* in the order of conditions.h */
    int64_t backlog[PROBE_FAMILIES]; /* connections that wait for mitmdump; -1: none can come */
    int64_t ca_expires;              /* seconds since 1970, 0 where not known */
};

/* What readiness is judged by. The responder fills it, and sets changed with every change. */
struct readiness {
    const struct config *config;
    int diagnosis; /* sock_diag */
    bool stopping;
    bool changed;
    struct report report;            /* the runner's last */
    const _Atomic int64_t *pulse_ms; /* see runner.h */
    struct probes probes;
    int64_t judged_ms;
    int64_t warn_again_ms; /* of the CA's end */
    struct verdict verdict;
};

/* Judges, at most 10 ms ago. The verdict is the readiness's own. */
const struct verdict *readiness_judge(struct readiness *readiness);

/* A line a condition, as people know them from Kubernetes. */
void verdict_print(const struct verdict *verdict, struct text *out);

/* Logs that the CA ends within 30 days, once a day. */
void readiness_warn(struct readiness *readiness);

#endif
