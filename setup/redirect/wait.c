#include "setup/redirect/wait.h"

#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/kernel/ipv6.h"
#include "common/kernel/netlink.h"
#include "common/kernel/socket_diagnosis.h"

enum { LOOK_EVERY_MS = 10 };

/* 1 if mitmdump listens there, 0 if not yet, -1 with error if somebody else does. */
static int look(int diagnosis, int family, const struct config *config, struct error *error)
{
    struct listener found;
    int there = listener_find(diagnosis, family, config->port, &found, error);
    if (there == 1 && found.uid != config->user.uid)
        return error_set(error, EX_UNAVAILABLE,
                         "port %u is held by uid %u, expected mitmdump as uid %u", config->port,
                         found.uid, config->user.uid);
    if (there == 0)
        error_set(error, EX_UNAVAILABLE, "nobody listens on port %u of %s", config->port,
                  family == AF_INET ? "127.0.0.1" : "::1");
    return there;
}

static bool listens(int diagnosis, const struct config *config, bool with_ipv6, struct error *error)
{
    return look(diagnosis, AF_INET, config, error) == 1 &&
           (!with_ipv6 || look(diagnosis, AF_INET6, config, error) == 1);
}

/* In a container setup ends with healthd, but elsewhere a waiting setup could outlive it. (A parent
 * death signal does not work: the kernel checks it with the dying parent's rights, and healthd has
 * none left.) */
static bool is_orphaned(const struct wait *wait)
{
    return wait->parent != 0 && getppid() != wait->parent;
}

static int give_up(const struct wait *wait, bool orphaned, struct error *error)
{
    if (orphaned)
        return error_set(error, EX_UNAVAILABLE, "the process that started this has ended");
    error->status = EX_UNAVAILABLE;
    return error_prefix(error, "mitmdump did not listen within %u s", wait->seconds);
}

int wait_for_mitmdump(const struct config *config, const struct wait *wait, struct error *error)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    bool with_ipv6 = config->ipv6 == IPV6_REDIRECT && ipv6_loopback_is_usable();
    bool endless = wait->endless && wait->parent != 0;
    unsigned long looks = wait->seconds * 1000UL / LOOK_EVERY_MS;
    int diagnosis = netlink_open(NETLINK_SOCK_DIAG, error);
    if (diagnosis < 0)
        return -1;
    log_info("waiting for mitmdump on port %u", config->port);
    while (!listens(diagnosis, config, with_ipv6, error)) {
        bool orphaned = is_orphaned(wait);
        if (orphaned || (!endless && looks-- == 0)) {
            close(diagnosis);
            return give_up(wait, orphaned, error);
        }
        nanosleep(&pause, NULL);
    }
    close(diagnosis);
    return 0;
}
