#ifndef SETUP_REDIRECT_H
#define SETUP_REDIRECT_H

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"

/* `setup redirect`: installs the rules and proves that they work, or leaves them as they were.
 * wait_seconds: how long to wait for mitmdump's listener first, 0 for not at all. Fills the rules'
 * keys of state. 0, or -1 with error. */
int redirect(const struct config *config, unsigned int wait_seconds, struct state *state,
             struct error *error);

/* `setup clear`: removes exactly our rules. */
int redirect_clear(struct state *state, struct error *error);

/* 0, or -1 with an error (77) that names each capability which the rules need and this process
 * lacks. */
int redirect_check_capabilities(struct error *error);

#endif
