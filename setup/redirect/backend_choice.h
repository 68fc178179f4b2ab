#ifndef SETUP_REDIRECT_BACKEND_CHOICE_H
#define SETUP_REDIRECT_BACKEND_CHOICE_H

#include <stddef.h>

#include "common/config/config.h"
#include "setup/rules/backend.h"

/* Returns the backend that the configuration names, or with auto the first that can take the set;
 * why gets the reason. NULL with error if there is none. */
const struct backend *backend_choose(const struct config *config, const struct ruleset *set,
                                     char *why, size_t why_size, struct error *error);

/* The other one. */
const struct backend *backend_other(const struct backend *backend);

#endif
