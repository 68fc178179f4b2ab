#ifndef SETUP_PREPARE_PREPARE_H
#define SETUP_PREPARE_PREPARE_H

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"

/* `setup prepare`: confdir, CA, export. Fills setup's CA keys of state. 0, or -1 with error. */
int prepare(const struct config *config, struct state *state, struct error *error);

#endif
