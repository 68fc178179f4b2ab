#ifndef COMMON_CONFIG_CHECK_H
#define COMMON_CONFIG_CHECK_H

struct config;

/* Checks what a parser of one value cannot: values against each other, and against the system
 * (users, files, the program, whose path it makes absolute). Skips values that did not parse.
 * Reports each error and returns how many there were. */
int config_check(struct config *config);

#endif
