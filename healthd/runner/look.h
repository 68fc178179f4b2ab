#ifndef HEALTHD_RUNNER_LOOK_H
#define HEALTHD_RUNNER_LOOK_H

#include "common/base/error.h"
#include "healthd/runner/mitmdump.h"

/* How soon mitmdump is looked at after its start. */
enum { LOOK_FIRST_MS = 10 };

/* Looks at a mitmdump that runs: whether it listens, whether its start is over, who waits to be
 * accepted, and its CA. Brings up to date what is known and reported of it, and when the next look
 * is due. Returns CAUSE_NONE if it may go on, or for which cause it is to be ended, with why. */
enum restart_cause mitmdump_look(struct mitmdump *mitmdump, struct error *why);

#endif
