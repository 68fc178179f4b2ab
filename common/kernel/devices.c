/* A file of its own, because only one list of rtnetlink(7) is read. */
#include "common/kernel/devices.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "common/kernel/netlink.h"

static void add(void *context, struct nlmsghdr *message)
{
    struct devices *devices = context;
    const struct ifinfomsg *link = NLMSG_DATA(message);
    struct rtattr *attribute = IFLA_RTA(NLMSG_DATA(message));
    unsigned int left = (unsigned int)IFLA_PAYLOAD(message);
    if (message->nlmsg_type != RTM_NEWLINK || (link->ifi_flags & IFF_LOOPBACK) != 0)
        return;
    devices->more = devices->more || devices->count == DEVICES_MAX;
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type != IFLA_IFNAME || devices->count == DEVICES_MAX)
            continue;
        struct device *device = &devices->items[devices->count++];
        device->index = (unsigned int)link->ifi_index;
        strlcpy(device->name, RTA_DATA(attribute), sizeof(device->name));
    }
}

int devices_read(int socket, struct devices *devices, struct error *error)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK},
        .link = {.ifi_family = AF_UNSPEC},
    };
    devices->count = 0;
    devices->more = false;
    return netlink_dump(socket, &request.header, add, devices, error);
}
