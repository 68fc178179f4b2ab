#ifndef HEALTHD_RUNNER_COMMAND_H
#define HEALTHD_RUNNER_COMMAND_H

#include "common/config/config.h"

/* mitmdump's command line; with_ipv6: it listens on ::1, too. Returns an array for execv with NULL
 * at its end, or NULL when memory is out. It is made once and lives as long as the process. Sets
 * *stock to the part of it that starts mitmdump without quick_start.py. */
char **command_build(const struct config *config, bool with_ipv6, char ***stock);

#endif
