#ifndef COMMON_CONFIG_RESERVED_OPTIONS_H
#define COMMON_CONFIG_RESERVED_OPTIONS_H

#include <stddef.h>

/* Why MITMPROXY_SET may not name the mitmproxy option of that name, which is length bytes long.
 * NULL if it may. */
const char *option_why_reserved(const char *name, size_t length);

#endif
