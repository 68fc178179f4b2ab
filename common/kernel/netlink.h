#ifndef COMMON_KERNEL_NETLINK_H
#define COMMON_KERNEL_NETLINK_H

#include <linux/netlink.h>

#include "common/base/error.h"

/* Lists that the kernel gives by netlink(7): of sockets, devices, chains. */

/* Opens a socket of that protocol (NETLINK_ROUTE), for this network namespace. A descriptor, or -1
 * with error. */
int netlink_open(int protocol, struct error *error);

/* Called with each message of the answer, which is the kernel's. */
typedef void netlink_visit(void *context, struct nlmsghdr *message);

/* Asks for a list, and visits its items. The request has its length and type; the rest of its
 * header is filled in. 0, or -1 with error and errno. */
int netlink_dump(int socket, struct nlmsghdr *request, netlink_visit *visit, void *context,
                 struct error *error);

/* Sends a request that has one answer. Its header is filled in but for its length and type. 0 if
 * the answer is no error, -1 with errno. */
int netlink_ask(int socket, struct nlmsghdr *request);

#endif
