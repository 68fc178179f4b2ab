#ifndef COMMON_MITMDUMP_ADDONS_H
#define COMMON_MITMDUMP_ADDONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* Addons run in the process that has the CA's key. Can anybody but root and the mitmproxy user
 * write to an addon, to a directory on the way to it, or to what is beside it and below? 0 if not,
 * or if MITMPROXY_WRITABLE_SCRIPTS allows it; else -1 with an error that names the place, its mode,
 * and who can. To be called as the mitmproxy user. */
int addons_check(const struct config *config, struct error *error);

/* The shipped scripts: those that mitmdump loads, in this order and before any other addon; the
 * module that admission.py imports; and the script that starts mitmdump. */
enum addon {
    ADDON_ADMISSION,
    ADDON_STREAM,
    ADDON_WORKER,
    ADDONS_LOADED,
    ADDON_PATCHES = ADDONS_LOADED,
    ADDON_LAUNCH,
    ADDON_SPEED,
    ADDONS_SHIPPED
};

/* Fills in the path of a shipped script. */
void shipped_addon_path(const struct config *config, enum addon addon, char path[static PATH_MAX]);

#endif
