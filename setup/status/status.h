#ifndef SETUP_STATUS_STATUS_H
#define SETUP_STATUS_STATUS_H

#include "common/config/config.h"

/* `setup status`: prints a table for people to stdout. Returns the exit status: 0 only if all is as
 * it should be. */
int status_print(const struct config *config);

/* The same for a wrong configuration, whose errors are logged already: prints only what does not
 * depend on it. Returns the exit status, which is never 0. */
int status_print_live(const struct config *config);

#endif
