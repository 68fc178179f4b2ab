#ifndef SETUP_TRUST_TRUST_ENV_H
#define SETUP_TRUST_TRUST_ENV_H

#include <stddef.h>

#include "common/base/error.h"

/* Makes the text of trust.env: the variables that make programs use the exported files, a
 * NAME=value line each, with mount as the directory. And that of wgetrc, which one of them names.
 * Newly allocated; the caller frees it. NULL with error. */
char *trust_env_make(const char *mount, size_t *size, struct error *error);
char *wgetrc_make(const char *mount, size_t *size, struct error *error);

#endif
