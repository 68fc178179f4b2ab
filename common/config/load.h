#ifndef COMMON_CONFIG_LOAD_H
#define COMMON_CONFIG_LOAD_H

#include "common/config/config.h"

/* Reads the environment, sets the log up for program, and checks every value, and what it names in
 * the world as far as transparent mode needs it (users, files, a program). Every error is logged,
 * one line each, and every variable with our prefix that does not exist is warned of. Changes
 * nothing. Returns the number of errors. */
int config_load(struct config *config, const char *program, enum config_need need);

#endif
