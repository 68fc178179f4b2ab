#ifndef HEALTHD_RUNNER_LOOK_H
#define HEALTHD_RUNNER_LOOK_H

#include "common/base/error.h"
#include "healthd/runner/mitmdump.h"

/* How soon mitmdump is looked at after its start. */
enum { LOOK_FIRST_MS = 10 };

/* Looks at a running mitmdump: does it listen, is its start over, do connections wait, is its CA
 * the same? Updates what is known and reported of it, and the time of the next look. Returns
 * CAUSE_NONE if it may go on, else the cause for which it has to end, with why. */
enum restart_cause mitmdump_look(struct mitmdump *mitmdump, struct error *why);

#endif
