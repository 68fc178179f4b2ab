#ifndef HEALTHD_RESPONDER_RESPONDER_H
#define HEALTHD_RESPONDER_RESPONDER_H

#include "common/config/config.h"
#include "healthd/http/sockets.h"
#include "healthd/runner/runner.h"

/* The process that answers: becomes the healthd user and serves until a signal ends it. It reads
 * the state file and the runner's reports, proves the rules by canaries, passes the order to stop
 * on to the runner, and reaps it. It writes no file. Without transparent mode there is no runner.
 * Returns the exit status. */
int responder_run(const struct config *config, const struct listeners *listeners,
                  const struct runner_link *runner);

#endif
