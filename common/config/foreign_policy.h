#ifndef COMMON_CONFIG_FOREIGN_POLICY_H
#define COMMON_CONFIG_FOREIGN_POLICY_H

#include "common/config/config.h"

/* The variables of OpenSandbox's own egress component, whose prefix is ours as well. Whoever puts
 * this project in its place may have them in the pod still. */

/* Reports a variable that is none of ours, by its name behind the prefix. One by which the other
 * tool limits or protects something is an error where it is set to something, unless elsewhere
 * names it; any other is a warning. The value is not logged: it may be a secret. Returns 1 for an
 * error that was logged, 0 for what is in order or was warned of, -1 if the other tool has no such
 * variable either. */
int foreign_policy_report(const struct config *config, const char *name, const char *value);

/* Reports the names in enforced_elsewhere that limit and protect nothing. Returns how many. */
int foreign_policy_check_elsewhere(const struct config *config);

#endif
