#ifndef SETUP_CA_PREPARE_H
#define SETUP_CA_PREPARE_H

#include <stdbool.h>

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"

/* As prepare of struct ca_module. */
int ca_prepare(const struct config *config, struct state *state, bool *warned, struct error *error);

#endif
