#ifndef SETUP_CA_PREPARE_H
#define SETUP_CA_PREPARE_H

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"
#include "setup/ca/module.h"

/* As prepare of struct ca_module. */
int ca_prepare(const struct config *config, struct state *state, struct error *error);

#endif
