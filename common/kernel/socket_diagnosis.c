#include "common/kernel/socket_diagnosis.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/kernel/netlink.h"

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 query;
};

struct search {
    int family; /* of the traffic, not of the socket */
    uint16_t port;
    uint32_t states; /* TCP states, one bit each */
    int best;        /* how well the best match so far fits, 0 for none */
    struct listener *found;
};

static bool is_v6only(struct nlmsghdr *message)
{
    const struct inet_diag_msg *socket = NLMSG_DATA(message);
    unsigned int left = (unsigned int)NLMSG_PAYLOAD(message, sizeof(*socket));
    struct rtattr *attribute = (struct rtattr *)((char *)NLMSG_DATA(message) + sizeof(*socket));
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
        if (attribute->rta_type == INET_DIAG_SKV6ONLY)
            return *(const uint8_t *)RTA_DATA(attribute) != 0;
    return false;
}

/* How well a socket fits, 0 for not at all. The kernel prefers the exact address to a wildcard, and
 * an IPv6 wildcard that is not v6only takes IPv4, too. */
static int fit(const struct search *search, struct nlmsghdr *message)
{
    const struct inet_diag_msg *socket = NLMSG_DATA(message);
    const struct in6_addr *address = (const struct in6_addr *)(const void *)socket->id.idiag_src;
    bool traffic_is_v4 = search->family == AF_INET;
    if ((search->states & 1U << socket->idiag_state) == 0 ||
        ntohs(socket->id.idiag_sport) != search->port)
        return 0;
    if (socket->idiag_family == AF_INET) {
        if (!traffic_is_v4)
            return 0;
        if (socket->id.idiag_src[0] == htonl(INADDR_LOOPBACK))
            return 3;
        return socket->id.idiag_src[0] == htonl(INADDR_ANY) ? 2 : 0;
    }
    if (IN6_IS_ADDR_V4MAPPED(address)) /* Java binds like this */
        return traffic_is_v4 && socket->id.idiag_src[3] == htonl(INADDR_LOOPBACK) ? 3 : 0;
    if (IN6_IS_ADDR_LOOPBACK(address))
        return traffic_is_v4 ? 0 : 3;
    if (!IN6_IS_ADDR_UNSPECIFIED(address) || (traffic_is_v4 && is_v6only(message)))
        return 0;
    return traffic_is_v4 ? 1 : 2;
}

static void consider(void *context, struct nlmsghdr *message)
{
    struct search *search = context;
    const struct inet_diag_msg *socket = NLMSG_DATA(message);
    int how_well = fit(search, message);
    if (how_well <= search->best)
        return;
    search->best = how_well;
    search->found->uid = socket->idiag_uid;
    search->found->inode = socket->idiag_inode;
    search->found->backlog = socket->idiag_rqueue; /* of a listening socket: sk_ack_backlog */
}

static int dump(int diagnosis, int family, struct search *search, struct error *error)
{
    struct request request = {
        .header = {.nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY},
        .query = {.sdiag_family = (uint8_t)family,
                  .sdiag_protocol = IPPROTO_TCP,
                  .idiag_states = search->states,
                  .id = {.idiag_sport = htons(search->port)}},
    };
    if (netlink_dump(diagnosis, &request.header, consider, search, error) != 0)
        return error_prefix(error, "sock_diag");
    return 0;
}

static int find(int diagnosis, struct search *search, struct error *error)
{
    if (search->family == AF_INET && dump(diagnosis, AF_INET, search, error) != 0)
        return -1;
    if (search->best < 2 && dump(diagnosis, AF_INET6, search, error) != 0)
        return -1;
    return search->best > 0 ? 1 : 0;
}

int listener_find(int diagnosis, int family, uint16_t port, struct listener *found,
                  struct error *error)
{
    struct search search = {
        .family = family, .port = port, .states = 1U << TCP_LISTEN, .found = found};
    return find(diagnosis, &search, error);
}

/* A connection in TIME_WAIT is left out: it has no owner, and is in nobody's way. */
int socket_find_connection(int diagnosis, int family, uint16_t port, struct listener *found,
                           struct error *error)
{
    const uint32_t all = (1U << (TCP_CLOSING + 1)) - 2;
    struct search search = {.family = family,
                            .port = port,
                            .states = all & ~(1U << TCP_LISTEN | 1U << TCP_TIME_WAIT),
                            .found = found};
    return find(diagnosis, &search, error);
}
