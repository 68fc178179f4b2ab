#ifndef SETUP_STATUS_H
#define SETUP_STATUS_H

#include "common/config.h"

/* `setup status`: prints a table for people to stdout. Returns the exit status: 0 only if all is as
 * it should be. */
int status_print(const struct config *config);

#endif
