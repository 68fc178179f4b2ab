#ifndef HEALTHD_RUNNER_COMMAND_H
#define HEALTHD_RUNNER_COMMAND_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* Command lines, arrays for execv with NULL at their ends, which live as long as the process. */
struct commands {
    char **launcher; /* launch.py and mitmdump's, NULL if mitmdump is started without it */
    char **mitmdump;
};

/* with_ipv6: mitmdump listens on ::1, too. 0, or -1 with error. */
int commands_build(const struct config *config, bool with_ipv6, struct commands *commands,
                   struct error *error);

#endif
