#ifndef COMMON_MITMDUMP_ADDON_PATH_H
#define COMMON_MITMDUMP_ADDON_PATH_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/config/user.h"

/* Who can decide what an addon's path leads to, and what is in it: nobody but root and the
 * mitmproxy user shall. Both need no privileges; 0, or -1 with an error that names the place that
 * others can write, its mode, and by whom. */

/* One file, directory or link that lstat or stat has described. In a sticky directory others can
 * add names: sticky_will_do where that is harmless. */
int addon_path_judge(const char *path, const struct stat *st, bool sticky_will_do,
                     const struct user *user, struct error *error);

/* What an absolute path leads to, every directory on the way, every link and what it leads through.
 * A path that ends in nothing, or where the caller may not look, is in order if nobody else can
 * make it lead to something. */
int addon_path_check(const char *path, const struct user *user, struct error *error);

#endif
