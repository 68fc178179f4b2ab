#ifndef COMMON_KERNEL_DEVICES_H
#define COMMON_KERNEL_DEVICES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

enum { DEVICES_MAX = 32 };

/* The network devices of a namespace, but for loopback. */
struct devices {
    size_t count;
    bool more; /* than there is room for */
    struct device {
        unsigned int index; /* of the interface */
        char name[IF_NAMESIZE];
    } items[DEVICES_MAX];
};

/* Lists the devices, as far as there is room, by a socket of NETLINK_ROUTE (netlink_open). 0, or -1
 * with error. */
int devices_read(int socket, struct devices *devices, struct error *error);

#endif
