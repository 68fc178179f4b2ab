#ifndef SETUP_RULES_RULE_H
#define SETUP_RULES_RULE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config/config.h"
#include "common/kernel/devices.h"
#include "setup/rules/ports.h"

/* The rules as data: what one is, and a list. How they get into the kernel is a backend's business.
 */

/* A range takes two places of the 15 that multiport has (linux/netfilter/xt_multiport.h). */
enum { RULE_PORTS_MAX = 15, RULES_MAX = 4 * CONFIG_LIST_MAX };

enum table { TABLE_NAT, TABLE_FILTER };

/* Where the kernel looks at a list: what the namespace sends, what comes to it, what it forwards
 * for somebody else, and what leaves by a device. */
enum hook { HOOK_OUTPUT, HOOK_INPUT, HOOK_FORWARD, HOOK_EGRESS };

enum verdict {
    VERDICT_RETURN,
    VERDICT_REDIRECT,
    VERDICT_PORT_UNREACHABLE,
    VERDICT_TCP_RESET,
    VERDICT_DROP
};

/* Which segments of TCP, by the flags SYN, ACK and RST: all, the first of a connection (only SYN is
 * set), or the answer to one (SYN and ACK). Not by FIN: there are servers who take a SYN with FIN
 * for a SYN. */
enum tcp_segment { SEGMENT_ANY, SEGMENT_SYN, SEGMENT_SYN_ACK };

/* What kind of frame leaves by a device. Whoever makes frames himself may call one by another name
 * for the kernel than for whoever receives it. */
enum frame { FRAME_ANY, FRAME_IPV6, FRAME_NOT_ARP, FRAME_MISNAMED };

/* The direction of the connection's first packet, or the other: of an answer to it; or the packet
 * belongs to no connection that connection tracking knows, and begins none. */
enum direction { DIRECTION_ANY, DIRECTION_ORIGINAL, DIRECTION_REPLY, DIRECTION_NONE };

/* Which part of a packet: a fragment; a fragment but the first; or one in which the kernel
 * finds the protocol, or the ports if there is a protocol. */
enum part { PART_ANY, PART_FRAGMENT, PART_LATER_FRAGMENT, PART_READABLE };

/* One rule; a member that is zero matches everything. */
struct rule {
    uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
    enum tcp_segment segment;
    uint8_t range_count;
    struct port_range ranges[RULE_PORTS_MAX]; /* destination ports, sorted */
    bool has_destination;
    struct cidr destination;
    bool in_loopback;  /* comes by the interface lo */
    bool out_loopback; /* leaves by it */
    bool to_local;     /* goes to an address of this namespace */
    bool from_foreign; /* comes from an address that is not of this namespace, nor 0.0.0.0 */
    bool has_owner;
    uid_t owner;      /* of the sending socket */
    bool from_socket; /* of a process: not what the kernel sends by itself, or forwards */
    enum direction direction;
    /* HOOK_EGRESS only: */
    enum part part;
    int family; /* of the packet, AF_INET or AF_INET6 */
    enum frame frame;
    enum verdict verdict;
    uint16_t to_port; /* VERDICT_REDIRECT */
};

/* What one hook of a table has to hold for one family. */
struct rule_list {
    enum table table;
    enum hook hook;
    int family;   /* AF_INET or AF_INET6; AF_UNSPEC: both */
    size_t count; /* 0: nothing of ours may be there */
    struct rule rules[RULES_MAX];
};

enum { LISTS_COUNT = 8 };

/* All lists, in the order in which they are replaced: first those that refuse, last those that let
 * through to the proxy, so that a failure in between fails closed. */
struct ruleset {
    struct rule_list lists[LISTS_COUNT];
    /* The last rule, at the devices themselves, for what no table sees. It is nft's, whatever the
     * backend of the others is, and may fail. */
    struct rule_list gate;
    struct devices devices; /* where the gate stands */
    /* Without an IPv6 address in the namespace nobody needs the IPv6 lists. They are installed
     * where the kernel takes them, in case an address comes later. */
    bool ipv6_required;
    bool ipv6_loopback; /* ::1 can be bound */
};

const char *table_name(enum table table);

/* Appends a rule that matches everything, and returns it. */
struct rule *list_append(struct rule_list *list, enum verdict verdict);

/* Appends rules like this one, each with as many of the ports as it can have. */
void list_append_for_ports(struct rule_list *list, const struct rule *like,
                           const struct port_set *ports);

/* The same for the ports that are redirected. */
void list_append_redirected(const struct config *config, struct rule_list *list,
                            const struct rule *like);

/* The address is text of that family. */
void rule_match_destination(struct rule *rule, int family, const char *address, uint8_t prefix);

/* Ports are added in ascending order. */
void rule_add_port(struct rule *rule, uint16_t port);

bool rule_equal(const struct rule *a, const struct rule *b);

#endif
