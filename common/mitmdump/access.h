#ifndef COMMON_MITMDUMP_ACCESS_H
#define COMMON_MITMDUMP_ACCESS_H

#include <limits.h>
#include <stdbool.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* To be called as the mitmproxy user. Checks that this user can execute mitmdump and its
 * interpreter and read the addons and the trust directory, and that nobody else can write the
 * addons. 0, or -1 with an error that names the first obstacle. */
int access_check(const struct config *config, struct error *error);

/* Fills in the interpreter that a script's first line names, or "". True if options follow it. */
bool script_interpreter(const char *script, char interpreter[static PATH_MAX]);

#endif
