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
    const struct rule_list *list;    /* the guard */
    const struct ifaddrs *addresses; /* of this namespace */
    const bool *servers;             /* by port: does somebody in the namespace listen there? */
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

/* Would this rule have matched the first packet of the connection? */
static bool matches(const struct search *search, const struct rule *rule, uid_t uid, uint16_t port,
                    const void *address)
{
    if ((rule->protocol != 0 && rule->protocol != IPPROTO_TCP) ||
        rule->segment == SEGMENT_SYN_ACK || rule->direction == DIRECTION_REPLY ||
        rule->from_foreign)
        return false;
    if (rule->has_owner && rule->owner != uid)
        return false;
    if (rule->to_local && !is_local(search, search->list->family, address))
        return false;
    if (rule->has_destination && !is_in(&rule->destination, address))
        return false;
    return rule->range_count == 0 || port_is_in(rule->ranges, rule->range_count, port);
}

/* A rule for all ports refuses what begins in here: not what a server has accepted. */
static bool is_refused(const struct search *search, const struct rule *rule, uint16_t own_port)
{
    return rule->verdict == VERDICT_TCP_RESET &&
           (rule->range_count > 0 || !search->servers[own_port]);
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
        if (is_refused(search, rule, ntohs(socket->id.idiag_sport)))
            search->found[search->count++] = *socket;
        return;
    }
}

static void consider_server(void *context, struct nlmsghdr *message)
{
    const struct inet_diag_msg *socket = NLMSG_DATA(message);
    bool *servers = context;
    servers[ntohs(socket->id.idiag_sport)] = true;
}

static struct request request_of(int family, uint16_t type, uint32_t states)
{
    return (struct request){
        .header = {.nlmsg_len = sizeof(struct request), .nlmsg_type = type},
        .query = {.sdiag_family = (uint8_t)family,
                  .sdiag_protocol = IPPROTO_TCP,
                  .idiag_states = states},
    };
}

/* Of sockets, by their states. */
static const uint32_t all_servers = 1U << TCP_LISTEN,
                      all_connections = ~(1U << TCP_LISTEN | 1U << TCP_TIME_WAIT);

static int find(int socket, uint32_t states, netlink_visit *visit, void *context,
                struct error *error)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        struct request request = request_of(families[i], SOCK_DIAG_BY_FAMILY, states);
        if (netlink_dump(socket, &request.header, visit, context, error) != 0)
            return -1;
    }
    return 0;
}

/* 0, or -1 with errno: ENOENT if it has ended by itself. */
static int destroy(int socket, const struct inet_diag_msg *connection)
{
    struct request request = request_of(connection->idiag_family, SOCK_DESTROY, 0);
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
        if (find(socket, all_connections, consider, search, error) != 0)
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

/* Those that the guards of both families refuse. */
static int close_refused(int socket, const struct ruleset *set, const struct ifaddrs *addresses,
                         struct error *error)
{
    static struct search search; /* large */
    static bool servers[UINT16_MAX + 1];
    int result = find(socket, all_servers, consider_server, servers, error);
    for (size_t i = 0; i < LISTS_COUNT && result == 0; i++) {
        const struct rule_list *list = &set->lists[i];
        if (list->table != TABLE_FILTER || list->hook != HOOK_OUTPUT || list->count == 0)
            continue;
        search = (struct search){.list = list, .addresses = addresses, .servers = servers};
        result = close_all(socket, &search, error);
    }
    return result;
}

void close_connections(const struct ruleset *set)
{
    struct error error;
    struct ifaddrs *addresses = NULL;
    int socket = netlink_open(NETLINK_SOCK_DIAG, &error);
    if (socket >= 0 && getifaddrs(&addresses) != 0)
        error_set(&error, 1, "%s", strerror(errno));
    if (addresses == NULL || close_refused(socket, set, addresses, &error) != 0)
        log_warn("connections from before the rules are not looked for: %s", error.text);
    freeifaddrs(addresses);
    if (socket >= 0)
        close(socket);
}
