#ifndef COMMON_MITMDUMP_ACCESS_H
#define COMMON_MITMDUMP_ACCESS_H

#include <limits.h>
#include <stdbool.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* Asked by a process that is the mitmproxy user: may that user execute mitmdump and its
 * interpreter, and read the addons and the trust directory? And may nobody else
 * write the addons? 0, or -1 with an error that names the
 * first obstacle. */
int access_check(const struct config *config, struct error *error);

/* The interpreter that a script's first line names, "" if it names none. True if options for it
 * stand behind it. */
bool access_interpreter(const char *script, char interpreter[static PATH_MAX]);

#endif
