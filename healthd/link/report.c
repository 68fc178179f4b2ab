/* The only code that the two sides of a report share, beside its struct. */
#include "healthd/link/report.h"

#include <string.h>

void report_state(struct report *report, enum mitm_state state, const char *why)
{
    if (state != MITM_LISTENING) {
        memset(report->inodes, 0, sizeof(report->inodes));
        report->waiting_since_ms = 0;
        report->ca_error[0] = '\0';
    }
    report->state = state;
    if (why != NULL)
        strlcpy(report->error, why, sizeof(report->error));
}
