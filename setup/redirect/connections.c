#include "setup/redirect/connections.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/kernel/netlink.h"

enum { CONNECTIONS_MAX = 4096 }; /* at once */

/* Connections that are to be closed, as the kernel names them. */
struct search {
    const struct rule_list *list;
    const struct ifaddrs *addresses; /* of this namespace */
    size_t count;
    struct inet_diag_msg found[CONNECTIONS_MAX];
};

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 query;
};

/* An address in its first four bytes, or in all sixteen. */
static bool is_local(const struct search *search, int family, const void *address)
{
    for (const struct ifaddrs *own = search->addresses; own != NULL; own = own->ifa_next) {
        if (own->ifa_addr == NULL || own->ifa_addr->sa_family != family)
            continue;
        const void *there =
            family == AF_INET
                ? (const void *)&((const struct sockaddr_in *)(const void *)own->ifa_addr)->sin_addr
                : (const void *)&((const struct sockaddr_in6 *)(const void *)own->ifa_addr)
                      ->sin6_addr;
        if (memcmp(there, address, family == AF_INET ? 4 : 16) == 0)
            return true;
    }
    return family == AF_INET && *(const unsigned char *)address == 127;
}

static bool is_in(const struct cidr *network, const unsigned char *address)
{
    const unsigned char *bytes = network->address.s6_addr;
    size_t whole = network->prefix / 8;
    unsigned int rest = network->prefix % 8;
    return memcmp(bytes, address, whole) == 0 &&
           (rest == 0 || ((bytes[whole] ^ address[whole]) >> (8 - rest)) == 0);
}

/* Would this rule of nat have matched the first packet of the connection? */
static bool matches(const struct search *search, const struct rule *rule, uid_t uid, uint16_t port,
                    const void *address)
{
    if (rule->has_owner && rule->owner != uid)
        return false;
    if (rule->to_local && !is_local(search, search->list->family, address))
        return false;
    if (rule->has_destination && !is_in(&rule->destination, address))
        return false;
    return rule->range_count == 0 || port_is_in(rule->ranges, rule->range_count, port);
}

static void consider(void *context, struct nlmsghdr *message)
{
    struct search *search = context;
    const struct inet_diag_msg *socket = NLMSG_DATA(message);
    int family = socket->idiag_family;
    const void *address = socket->id.idiag_dst;
    if (family == AF_INET6 &&
        IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)socket->id.idiag_dst)) {
        family = AF_INET;
        address = &socket->id.idiag_dst[3];
    }
    if (family != search->list->family || search->count == CONNECTIONS_MAX)
        return;
    for (size_t i = 0; i < search->list->count; i++) {
        const struct rule *rule = &search->list->rules[i];
        if (!matches(search, rule, socket->idiag_uid, ntohs(socket->id.idiag_dport), address))
            continue;
        if (rule->verdict == VERDICT_REDIRECT)
            search->found[search->count++] = *socket;
        return;
    }
}

static struct request request_of(int family, uint16_t type)
{
    return (struct request){
        .header = {.nlmsg_len = sizeof(struct request), .nlmsg_type = type},
        .query = {.sdiag_family = (uint8_t)family,
                  .sdiag_protocol = IPPROTO_TCP,
                  .idiag_states = ~(1U << TCP_LISTEN | 1U << TCP_TIME_WAIT)},
    };
}

static int find(int socket, struct search *search, struct error *error)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        struct request request = request_of(families[i], SOCK_DIAG_BY_FAMILY);
        if (netlink_dump(socket, &request.header, consider, search, error) != 0)
            return -1;
    }
    return 0;
}

/* 0, or -1 with errno: ENOENT if it has ended by itself. */
static int destroy(int socket, const struct inet_diag_msg *connection)
{
    struct request request = request_of(connection->idiag_family, SOCK_DESTROY);
    request.header.nlmsg_flags = NLM_F_ACK;
    request.query.id = connection->id;
    return netlink_ask(socket, &request.header);
}

/* How many of those that were found have been closed; *left are not, for *reason. */
static size_t close_found(int socket, const struct search *search, size_t *left, int *reason)
{
    size_t closed = 0;
    *left = 0;
    for (size_t i = 0; i < search->count; i++) {
        if (destroy(socket, &search->found[i]) == 0) {
            closed++;
        } else if (errno != ENOENT) {
            *reason = errno;
            (*left)++;
        }
    }
    return closed;
}

/* There may be more than are found at once. */
static int close_all(int socket, struct search *search, struct error *error)
{
    size_t closed = 0, now, left;
    int reason = 0;
    do {
        search->count = 0;
        if (find(socket, search, error) != 0)
            return -1;
        now = close_found(socket, search, &left, &reason);
        closed += now;
    } while (search->count == CONNECTIONS_MAX && now > 0);
    if (closed > 0)
        log_info("%zu connections from before the rules closed", closed);
    if (left > 0)
        log_warn("%zu connections from before the rules go on past the proxy: %s", left,
                 strerror(reason));
    return 0;
}

void close_connections(const struct ruleset *set)
{
    static struct search search; /* large */
    struct error error;
    struct ifaddrs *addresses = NULL;
    int socket = netlink_open(NETLINK_SOCK_DIAG, &error);
    if (socket < 0 || getifaddrs(&addresses) != 0) {
        log_warn("connections from before the rules are not looked for: %s",
                 socket < 0 ? error.text : strerror(errno));
        if (socket >= 0)
            close(socket);
        return;
    }
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        if (set->lists[i].table != TABLE_NAT || set->lists[i].count == 0)
            continue;
        search = (struct search){.list = &set->lists[i], .addresses = addresses};
        if (close_all(socket, &search, &error) != 0)
            log_warn("connections from before the rules are not looked for: %s", error.text);
    }
    freeifaddrs(addresses);
    close(socket);
}
