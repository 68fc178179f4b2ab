#ifndef COMMON_KERNEL_IPV6_H
#define COMMON_KERNEL_IPV6_H

#include <stdbool.h>

/* Does any interface of this network namespace have an IPv6 address? */
bool ipv6_is_present(void);

/* Can a socket listen on ::1? In doubt, true: then the attempt itself reports the error. */
bool ipv6_loopback_is_usable(void);

#endif
