#ifndef HEALTHD_RESPONDER_RESPONDER_H
#define HEALTHD_RESPONDER_RESPONDER_H

#include "common/config/config.h"
#include "healthd/http/sockets.h"
#include "healthd/runner/runner.h"

/* The process that answers: becomes the healthd user and serves until a signal ends it. It reads
 * the state file and the runner's reports, keeps the canary flying, passes signals on to the runner
 * and reaps; it writes nothing anywhere. There is no runner where transparent mode is off.
 * Returns the exit status. */
int responder_run(const struct config *config, const struct listeners *listeners,
                  const struct runner_link *runner);

#endif
