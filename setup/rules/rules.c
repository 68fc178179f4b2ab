#include "setup/rules/rules.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "common/kernel/canary.h"
#include "common/kernel/ipv6.h"
#include "common/kernel/netlink.h"

const struct ruleset no_rules = {
    .lists = {{.table = TABLE_FILTER, .hook = HOOK_OUTPUT, .family = AF_INET},
              {.table = TABLE_FILTER, .hook = HOOK_OUTPUT, .family = AF_INET6},
              {.table = TABLE_FILTER, .hook = HOOK_FORWARD, .family = AF_INET},
              {.table = TABLE_FILTER, .hook = HOOK_FORWARD, .family = AF_INET6},
              {.table = TABLE_NAT, .hook = HOOK_OUTPUT, .family = AF_INET6},
              {.table = TABLE_NAT, .hook = HOOK_OUTPUT, .family = AF_INET}},
    .gate = {.table = TABLE_FILTER, .hook = HOOK_EGRESS, .family = AF_UNSPEC},
};

static struct rule *append(struct rule_list *list, enum verdict verdict)
{
    struct rule *rule = &list->rules[list->count++];
    memset(rule, 0, sizeof(*rule));
    rule->verdict = verdict;
    return rule;
}

static void match_destination(struct rule *rule, int family, const char *address, uint8_t prefix)
{
    rule->has_destination = true;
    rule->destination.family = family;
    rule->destination.prefix = prefix;
    inet_pton(family, address, &rule->destination.address);
}

/* Keeps the ports sorted, each once, as nft lists them. */
static void add_port(struct rule *rule, uint16_t port)
{
    int i = 0;
    while (i < rule->port_count && rule->ports[i] < port)
        i++;
    if (i < rule->port_count && rule->ports[i] == port)
        return;
    memmove(&rule->ports[i + 1], &rule->ports[i],
            (size_t)(rule->port_count - i) * sizeof(rule->ports[0]));
    rule->ports[i] = port;
    rule->port_count++;
}

static void match_redirected_ports(const struct config *config, struct rule *rule, uint8_t protocol)
{
    rule->protocol = protocol;
    add_port(rule, 80);
    add_port(rule, 443);
    for (size_t i = 0; i < config->extra_ports.count; i++)
        add_port(rule, config->extra_ports.ports[i]);
}

/* Stands before every exemption: a canary that an exemption lets pass proves nothing. */
static struct rule *add_canary(struct rule_list *list, enum verdict verdict, uint8_t protocol)
{
    struct rule *rule = append(list, verdict);
    if (list->family == AF_INET)
        match_destination(rule, AF_INET, CANARY_ADDRESS_V4, 32);
    else
        match_destination(rule, AF_INET6, CANARY_ADDRESS_V6, 128);
    rule->protocol = protocol;
    add_port(rule, CANARY_PORT);
    return rule;
}

static void add_owner(struct rule_list *list, uid_t uid)
{
    struct rule *rule = append(list, VERDICT_RETURN);
    rule->has_owner = true;
    rule->owner = uid;
}

/* Exempts what stays inside the pod. Anybody may bind a socket to a device, which then decides
 * where packets go: those to a foreign address may go to lo, and those to a local address
 * (127.0.0.1, or another device's) out of eth0. Only packets with both, device lo and a local
 * address, are sure to stay inside. */
static void add_local(struct rule_list *list)
{
    struct rule *rule = append(list, VERDICT_RETURN);
    rule->out_loopback = true;
    rule->to_local = true;
}

/* The proxy itself, and what the configuration excludes. */
static void add_owners(const struct config *config, struct rule_list *list)
{
    add_owner(list, config->user.uid);
    for (size_t i = 0; i < config->exclude_uids.count; i++)
        add_owner(list, config->exclude_uids.uids[i]);
}

static void add_networks(const struct config *config, struct rule_list *list)
{
    for (size_t i = 0; i < config->exclude_cidrs.count; i++) {
        const struct cidr *network = &config->exclude_cidrs.networks[i];
        if (list->family != AF_UNSPEC && network->family != list->family)
            continue;
        struct rule *rule = append(list, VERDICT_RETURN);
        rule->has_destination = true;
        rule->destination = *network;
    }
}

static void add_exemptions(const struct config *config, struct rule_list *list)
{
    add_local(list);
    add_owners(config, list);
    add_networks(config, list);
}

static void build_nat(const struct config *config, struct rule_list *list)
{
    if (list->family == AF_INET6 && config->ipv6 != IPV6_REDIRECT)
        return;
    add_canary(list, VERDICT_REDIRECT, IPPROTO_TCP)->to_port = config->http.port;
    add_exemptions(config, list);
    struct rule *redirect = append(list, VERDICT_REDIRECT);
    match_redirected_ports(config, redirect, IPPROTO_TCP);
    redirect->to_port = config->port;
}

/* If both ends connect to each other at once, the server's SYN may come while the application's own
 * is unanswered; the kernel answers it with SYN and ACK. Refused only for 80 and 443, which no
 * client has as its own port: other ports may be those of clients of a server in the pod. */
static void add_meeting(struct rule_list *list)
{
    struct rule *rule = append(list, VERDICT_TCP_RESET);
    rule->protocol = IPPROTO_TCP;
    rule->segment = SEGMENT_SYN_ACK;
    add_port(rule, 80);
    add_port(rule, 443);
}

/* A socket may bind an address that is not of this namespace (IPV6_FREEBIND) and pose as a server
 * outside. If it connects to another socket of the pod, the answer goes to the real server, and no
 * rule can tell that the connection began in here. So its SYN is dropped; a reset would go outside
 * as well. */
static void add_impostor(struct rule_list *list)
{
    struct rule *rule = append(list, VERDICT_DROP);
    rule->protocol = IPPROTO_TCP;
    rule->segment = SEGMENT_SYN;
    rule->out_loopback = true;
    rule->from_foreign = true;
}

/* The guard. What nat has redirected no longer has a redirected port here. A SYN that has one was
 * missed by nat: connection tracking knows its addresses and ports from a connection without NAT,
 * or does not track it. Only SYNs are refused: FINs and resets of sockets that mitmdump has closed
 * have no owner that could be exempt. */
static void build_filter(const struct config *config, struct rule_list *list)
{
    if (!config_has_guard(config, list->family))
        return;
    add_canary(list, VERDICT_PORT_UNREACHABLE, IPPROTO_UDP);
    add_impostor(list);
    add_exemptions(config, list);
    if (!config->quic_allowed)
        match_redirected_ports(config, append(list, VERDICT_PORT_UNREACHABLE), IPPROTO_UDP);
    struct rule *refuse = append(list, VERDICT_TCP_RESET);
    match_redirected_ports(config, refuse, IPPROTO_TCP);
    if (list->family == AF_INET6 && config->ipv6 == IPV6_REJECT)
        return;
    refuse->segment = SEGMENT_SYN;
    add_meeting(list);
}

/* What the pod forwards for somebody else (containers in it, virtual machines) comes by no OUTPUT.
 * No segment of it goes to 80 and 443, which no client has as its own port: both ends may connect
 * to each other at once, and a connection may be from before the rules. Other ports may be those of
 * clients of a server behind the pod. */
static void build_forward(const struct config *config, struct rule_list *list)
{
    if (!config_has_guard(config, list->family) || config->forwarded_allowed)
        return;
    add_networks(config, list);
    if (!config->quic_allowed)
        match_redirected_ports(config, append(list, VERDICT_PORT_UNREACHABLE), IPPROTO_UDP);
    struct rule *refuse = append(list, VERDICT_TCP_RESET);
    match_redirected_ports(config, refuse, IPPROTO_TCP);
    refuse->segment = SEGMENT_SYN;
    struct rule *all = append(list, VERDICT_TCP_RESET);
    all->protocol = IPPROTO_TCP;
    add_port(all, 80);
    add_port(all, 443);
}

static struct rule *append_drop(struct rule_list *list)
{
    struct rule *rule = append(list, VERDICT_DROP);
    rule->from_socket = true;
    return rule;
}

static void drop_frames(struct rule_list *list, enum frame frame, int family)
{
    struct rule *rule = append_drop(list);
    rule->frame = frame;
    rule->family = family;
}

static struct rule *drop_fragments(struct rule_list *list, int family, uint8_t protocol)
{
    struct rule *rule = append_drop(list);
    rule->part = PART_FRAGMENT;
    rule->protocol = protocol;
    rule->family = family;
    return rule;
}

/* The header of TCP may be spread over fragments so that no rule sees it whole. */
static void drop_tcp_fragments(struct rule_list *list)
{
    drop_fragments(list, AF_INET, IPPROTO_TCP);
    drop_fragments(list, AF_INET6, IPPROTO_TCP);
}

static struct rule *append_part(struct rule_list *list, enum part part, uint8_t protocol)
{
    struct rule *rule = append(list, VERDICT_RETURN);
    rule->part = part;
    rule->protocol = protocol;
    return rule;
}

/* They have no ports, but nft may take their first bytes for such. */
static void pass_later_fragments(struct rule_list *list)
{
    append_part(list, PART_LATER_FRAGMENT, IPPROTO_UDP)->family = AF_INET;
    append_part(list, PART_LATER_FRAGMENT, IPPROTO_UDP)->family = AF_INET6;
}

/* What no other rule could judge: it is neither IP nor ARP; the kernel does not find the protocol,
 * because a header is spread over fragments, or the length is wrong (a device that fills a short
 * frame up makes it right); or the first fragment of UDP has other headers only. */
static void drop_unreadable(const struct config *config, struct rule_list *list)
{
    if (!config->quic_allowed) {
        append_part(list, PART_READABLE, IPPROTO_UDP);
        drop_fragments(list, AF_INET6, IPPROTO_UDP);
    }
    append_part(list, PART_READABLE, 0);
    append_drop(list)->frame = FRAME_NOT_ARP;
}

/* The gate. Whoever has CAP_NET_RAW makes frames that come by no table but this one (AF_PACKET).
 * What the kernel sends by itself, or forwards, has no socket, and has been judged before. 80 and
 * 443 are no client's own ports: for these no segment passes; other ports may be those of a client
 * of a server in the pod. */
static void build_gate(const struct config *config, struct rule_list *list)
{
    list->count = 0;
    add_owners(config, list);
    drop_frames(list, FRAME_MISNAMED, AF_UNSPEC);
    drop_frames(list, FRAME_MISNAMED, AF_INET);
    drop_frames(list, FRAME_MISNAMED, AF_INET6);
    if (config->ipv6 == IPV6_OFF)
        append(list, VERDICT_RETURN)->frame = FRAME_IPV6;
    add_networks(config, list);
    drop_tcp_fragments(list);
    pass_later_fragments(list);
    if (!config->quic_allowed)
        match_redirected_ports(config, append_drop(list), IPPROTO_UDP);
    struct rule *refuse = append_drop(list);
    match_redirected_ports(config, refuse, IPPROTO_TCP);
    refuse->segment = SEGMENT_SYN;
    struct rule *all = append_drop(list);
    all->protocol = IPPROTO_TCP;
    add_port(all, 80);
    add_port(all, 443);
    if (config->ipv6 == IPV6_REJECT) {
        struct rule *rule = append_drop(list);
        match_redirected_ports(config, rule, IPPROTO_TCP);
        rule->family = AF_INET6;
    }
    drop_unreadable(config, list);
}

static size_t find_devices(struct devices *devices)
{
    struct error ignored;
    int socket = netlink_open(NETLINK_ROUTE, &ignored);
    devices->count = 0;
    if (socket < 0)
        return 0;
    if (devices_read(socket, devices, &ignored) != 0)
        devices->count = 0;
    close(socket);
    return devices->count;
}

static void build(const struct config *config, struct rule_list *list)
{
    list->count = 0;
    if (list->hook == HOOK_FORWARD)
        build_forward(config, list);
    else if (list->table == TABLE_NAT)
        build_nat(config, list);
    else
        build_filter(config, list);
}

void rules_build(const struct config *config, struct ruleset *set)
{
    set->ipv6_loopback = ipv6_loopback_is_usable();
    set->ipv6_required = config->ipv6 != IPV6_OFF && (set->ipv6_loopback || ipv6_is_present());
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        set->lists[i].table = no_rules.lists[i].table;
        set->lists[i].hook = no_rules.lists[i].hook;
        set->lists[i].family = no_rules.lists[i].family;
        build(config, &set->lists[i]);
    }
    set->gate.table = no_rules.gate.table;
    set->gate.hook = no_rules.gate.hook;
    set->gate.family = no_rules.gate.family;
    set->gate.count = 0;
    if (find_devices(&set->devices) > 0)
        build_gate(config, &set->gate);
}

size_t rules_count(const struct ruleset *set)
{
    size_t count = 0;
    for (size_t i = 0; i < LISTS_COUNT; i++)
        count += set->lists[i].count;
    return count;
}

bool rules_are_required(const struct ruleset *set, const struct rule_list *list)
{
    return list->family == AF_INET || set->ipv6_required;
}

const char *table_name(enum table table)
{
    return table == TABLE_NAT ? "nat" : "filter";
}

static bool cidr_equal(const struct cidr *a, const struct cidr *b)
{
    return a->family == b->family && a->prefix == b->prefix &&
           memcmp(&a->address, &b->address, sizeof(a->address)) == 0;
}

bool rule_has_port(const struct rule *rule, uint16_t port)
{
    for (int i = 0; i < rule->port_count; i++)
        if (rule->ports[i] == port)
            return true;
    return false;
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
    return a->protocol == b->protocol && a->segment == b->segment &&
           a->port_count == b->port_count && memcmp(a->ports, b->ports, sizeof(a->ports)) == 0 &&
           a->has_destination == b->has_destination &&
           cidr_equal(&a->destination, &b->destination) && a->out_loopback == b->out_loopback &&
           a->to_local == b->to_local && a->from_foreign == b->from_foreign &&
           a->has_owner == b->has_owner && a->owner == b->owner && a->verdict == b->verdict &&
           a->to_port == b->to_port; /* what HOOK_EGRESS alone has is compared as text */
}
