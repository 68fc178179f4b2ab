#ifndef HEALTHD_READINESS_H
#define HEALTHD_READINESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "healthd/canary_probe.h"
#include "healthd/report.h"

/* What readiness is judged by. The responder fills it. */
struct readiness {
    const struct config *config;
    int diagnosis; /* sock_diag */
    bool stopping;
    struct report report; /* the runner's last */
    size_t families;      /* 1: IPv4; 2: IPv6, too */
    struct canary_probe canaries[2];
};

enum { REASON_SIZE = 512 };

/* True if everything that has to be there is there, now; otherwise the first thing that is not is
 * in reason. With transparent mode off it is always true until healthd stops. */
bool readiness_check(struct readiness *readiness, char reason[static REASON_SIZE]);

#endif
