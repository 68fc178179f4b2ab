#ifndef COMMON_CONFIG_CHECK_H
#define COMMON_CONFIG_CHECK_H

struct config;

/* Checks what a single value cannot tell: values against each other, and against the world (users,
 * files, the program, which becomes an absolute path). Values that did not parse are passed over.
 * Reports each error and returns how many there were. */
int config_check(struct config *config);

#endif
