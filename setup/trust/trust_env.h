#ifndef SETUP_TRUST_TRUST_ENV_H
#define SETUP_TRUST_TRUST_ENV_H

#include <stddef.h>

#include "common/base/error.h"

/* Make the text of trust.env (a NAME=value line for each variable that makes a program use the
 * exported files, with mount as their directory) and of wgetrc, which one of the variables names.
 * Newly allocated; the caller frees it. NULL with error. */
char *trust_env_make(const char *mount, size_t *size, struct error *error);
char *wgetrc_make(const char *mount, size_t *size, struct error *error);

#endif
