#ifndef COMMON_CONFIG_FOREIGN_POLICY_H
#define COMMON_CONFIG_FOREIGN_POLICY_H

#include "common/config/config.h"

/* The variables of OpenSandbox's own egress component, which has the same prefix as ours. They may
 * still be set in a pod where this project has replaced it. */

/* Reports a variable that is not ours; name is without the prefix. If the component limits or
 * protects something by it, it is an error, unless its value asks for nothing or enforced_elsewhere
 * names it. Any other of its variables is a warning. The value may be a secret and is not logged.
 * Returns 1 for an error, 0 for a warning or nothing, -1 if the component does not know the
 * variable. */
int foreign_policy_report(const struct config *config, const char *name, const char *value);

/* Reports names in enforced_elsewhere that limit or protect nothing. Returns how many. */
int foreign_policy_check_elsewhere(const struct config *config);

#endif
