#ifndef COMMON_CONFIG_LOAD_H
#define COMMON_CONFIG_LOAD_H

#include "common/config/config.h"

/* Reads the environment, sets up the log for program, and checks every value and, for transparent
 * mode, the users, files and program that values name. Logs a line for each error, and a warning
 * for each unknown variable with our prefix; nothing with CONFIG_IS_CHECKED. Changes nothing.
 * Returns the number of errors. */
int config_load(struct config *config, const char *program, enum config_need need);

#endif
