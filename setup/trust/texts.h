#ifndef SETUP_TRUST_TEXTS_H
#define SETUP_TRUST_TEXTS_H

#include <stddef.h>

#include "common/base/error.h"

/* The exported files that are text: the variables that make programs use the exported files, as
 * trust.env and trust.sh, and the files in other programs' formats that some of them name. */
extern const char *const text_names[];
extern const size_t text_count;

/* Makes the text of one, with mount as the export directory. Newly allocated; the caller frees it.
 * NULL with error. */
char *text_make(const char *name, const char *mount, size_t *size, struct error *error);

#endif
