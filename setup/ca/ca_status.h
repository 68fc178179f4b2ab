#ifndef SETUP_CA_CA_STATUS_H
#define SETUP_CA_CA_STATUS_H

#include "common/config.h"
#include "common/state.h"

/* As print of struct ca_module. */
int ca_print(const struct config *config, const struct state *state);

#endif
