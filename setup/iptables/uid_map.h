#ifndef SETUP_IPTABLES_UID_MAP_H
#define SETUP_IPTABLES_UID_MAP_H

#include <sys/types.h>

/* The highest user id that there is in this user namespace; the kernel takes no rule with another
 * one. */
uid_t uid_map_last(void);

#endif
