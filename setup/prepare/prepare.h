#ifndef SETUP_PREPARE_PREPARE_H
#define SETUP_PREPARE_PREPARE_H

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/state/state.h"

/* `setup prepare`: confdir, CA, export. Fills setup's CA keys of state. 0, or -1 with error. */
int prepare(const struct config *config, struct state *state, struct error *error);

#endif
