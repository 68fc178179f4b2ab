#ifndef COMMON_MITMDUMP_ADDON_PATH_H
#define COMMON_MITMDUMP_ADDON_PATH_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/config/user.h"

/* Nobody but root and the mitmproxy user may be able to change what an addon's path leads to, or
 * its content. These functions check that, without privileges. 0, or -1 with an error that names
 * the place that others can write, its mode, and who they are. */

/* Checks one file, directory or link by its lstat or stat. With sticky_will_do a sticky directory
 * is accepted, to which others can only add names. */
int addon_path_judge(const char *path, const struct stat *st, bool sticky_will_do,
                     const struct user *user, struct error *error);

/* Checks what an absolute path leads to, and every directory and link on the way. A path that leads
 * to nothing, or to where the caller may not look, is accepted if nobody else can make it lead to
 * something. */
int addon_path_check(const char *path, const struct user *user, struct error *error);

#endif
