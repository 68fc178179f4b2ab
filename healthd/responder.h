#ifndef HEALTHD_RESPONDER_H
#define HEALTHD_RESPONDER_H

#include <sys/types.h>

#include "common/config.h"
#include "healthd/server.h"

/* The process that answers: becomes the healthd user and serves until a signal ends it. It reads
 * the state file and the runner's reports, keeps the canary flying, passes signals on to the runner
 * and reaps; it writes nothing anywhere. runner is the runner's pid and control the socket to it, 0
 * and -1 where transparent mode is off. Returns the exit status. */
int responder_run(const struct config *config, const struct listeners *listeners, pid_t runner,
                  int control);

#endif
