#ifndef COMMON_KERNEL_IPV6_H
#define COMMON_KERNEL_IPV6_H

#include <stdbool.h>

#include "common/config/config.h"

/* Has any interface of this network namespace an IPv6 address? */
bool ipv6_is_present(void);

/* Can ::1 be listened on? In doubt, true: then it is tried, and the error is not lost. */
bool ipv6_loopback_is_usable(void);

/* Is IPv6 redirected here: asked for, and possible? mitmdump listens on ::1, too, then. */
bool ipv6_is_redirected(const struct config *config);

#endif
