#include "setup/rules/rules.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "common/kernel/canary.h"
#include "common/kernel/ipv6.h"
#include "common/kernel/netlink.h"
#include "setup/rules/exemptions.h"
#include "setup/rules/gate.h"
#include "setup/rules/ports.h"

const struct ruleset no_rules = {
    .lists = {{.table = TABLE_FILTER, .hook = HOOK_OUTPUT, .family = AF_INET},
              {.table = TABLE_FILTER, .hook = HOOK_OUTPUT, .family = AF_INET6},
              {.table = TABLE_FILTER, .hook = HOOK_INPUT, .family = AF_INET},
              {.table = TABLE_FILTER, .hook = HOOK_INPUT, .family = AF_INET6},
              {.table = TABLE_FILTER, .hook = HOOK_FORWARD, .family = AF_INET},
              {.table = TABLE_FILTER, .hook = HOOK_FORWARD, .family = AF_INET6},
              {.table = TABLE_NAT, .hook = HOOK_OUTPUT, .family = AF_INET6},
              {.table = TABLE_NAT, .hook = HOOK_OUTPUT, .family = AF_INET}},
    .gate = {.table = TABLE_FILTER, .hook = HOOK_EGRESS, .family = AF_UNSPEC},
};

/* Stands before every exemption: a canary that an exemption lets pass proves nothing. */
static struct rule *add_canary(struct rule_list *list, enum verdict verdict, uint8_t protocol)
{
    struct rule *rule = list_append(list, verdict);
    if (list->family == AF_INET)
        rule_match_destination(rule, AF_INET, CANARY_ADDRESS_V4, 32);
    else
        rule_match_destination(rule, AF_INET6, CANARY_ADDRESS_V6, 128);
    rule->protocol = protocol;
    rule_add_port(rule, CANARY_PORT);
    return rule;
}

/* Exempts what stays inside the pod. Anybody may bind a socket to a device, which then decides
 * where packets go: those to a foreign address may go to lo, and those to a local address
 * (127.0.0.1, or another device's) out of eth0. Only packets with both, device lo and a local
 * address, are sure to stay inside. */
static void add_local(struct rule_list *list)
{
    struct rule *rule = list_append(list, VERDICT_RETURN);
    rule->out_loopback = true;
    rule->to_local = true;
}

static void build_nat(const struct config *config, struct rule_list *list)
{
    if (list->family == AF_INET6 && config->ipv6 != IPV6_REDIRECT)
        return;
    add_canary(list, VERDICT_REDIRECT, IPPROTO_TCP)->to_port = config->http.port;
    add_local(list);
    exempt_owners(config, list);
    exempt_destinations(config, list);
    list_append_redirected(config, list,
                           &(struct rule){.verdict = VERDICT_REDIRECT,
                                          .protocol = IPPROTO_TCP,
                                          .to_port = config->port});
}

/* If both ends connect to each other at once, the server's SYN may come while the application's own
 * is unanswered; the kernel answers it with SYN and ACK. Refused only for 80 and 443, which no
 * client has as its own port: other ports may be those of clients of a server in the pod. */
static void add_simultaneous_open(struct rule_list *list)
{
    list_append_for_ports(list,
                          &(struct rule){.verdict = VERDICT_TCP_RESET,
                                         .protocol = IPPROTO_TCP,
                                         .segment = SEGMENT_SYN_ACK},
                          &web_ports);
}

/* DHCP begins with these; a lease is renewed so as well where the server itself does not answer. */
static void add_dhcp(struct rule_list *list)
{
    struct rule *rule = list_append(list, VERDICT_RETURN);
    if (list->family == AF_INET)
        rule_match_destination(rule, AF_INET, "255.255.255.255", 32);
    else
        rule_match_destination(rule, AF_INET6, "ff02::1:2", 128);
    rule->protocol = IPPROTO_UDP;
    rule_add_port(rule, list->family == AF_INET ? 67 : 547);
}

/* The datagrams of a server in the pod go to whatever port its client has, but for 80 and 443,
 * which no client has as its own: these are refused here. Not of TCP: what answers a SYN from
 * outside is judged by add_simultaneous_open. */
static void add_replies(const struct config *config, struct rule_list *list)
{
    if (!ports_refuse_replies(config))
        return;
    if (!config->quic_allowed)
        list_append_for_ports(
            list, &(struct rule){.verdict = VERDICT_PORT_UNREACHABLE, .protocol = IPPROTO_UDP},
            &web_ports);
    struct rule *reply = list_append(list, VERDICT_RETURN);
    reply->protocol = IPPROTO_UDP;
    reply->direction = DIRECTION_REPLY;
    add_dhcp(list);
}

/* Whoever is foreign here poses as somebody outside: what the pod then sends to the real one would
 * be an answer for connection tracking, and no rule could tell that all of it began in here.
 * Answers from a foreign address may be those of a transparent proxy. */
static struct rule *drop_foreign(struct rule_list *list)
{
    struct rule *rule = list_append(list, VERDICT_DROP);
    rule->direction = DIRECTION_ORIGINAL;
    rule->from_foreign = true;
    return rule;
}

/* The socket is closed, and has no owner; connection tracking has forgotten it, so that nat does
 * not see what is still sent of it, and sends again: data with a FIN, which begin no connection.
 * Dropped, because what connection tracking does not know now it may know again. */
static const struct rule drop_unknown = {
    .verdict = VERDICT_DROP, .protocol = IPPROTO_TCP, .direction = DIRECTION_NONE};

static void refuse_redirected(const struct config *config, struct rule_list *list,
                              enum tcp_segment segment)
{
    bool is_done = ports_refuse_replies(config) && config->extra_ports.count == 0;
    if (!config->quic_allowed && !is_done)
        list_append_redirected(
            config, list,
            &(struct rule){.verdict = VERDICT_PORT_UNREACHABLE, .protocol = IPPROTO_UDP});
    list_append_redirected(
        config, list,
        &(struct rule){.verdict = VERDICT_TCP_RESET, .protocol = IPPROTO_TCP, .segment = segment});
}

/* A packet that nat has redirected is on its way to lo, but still counts as one that leaves by the
 * device that it was meant for; and the port that it has now may be in a range of EXTRA_PORTS. */
static void add_redirected(const struct config *config, struct rule_list *list)
{
    struct port_set ports = {0};
    port_set_add(&ports, (struct port_range){config->port, config->port});
    port_set_add(&ports, (struct port_range){config->http.port, config->http.port});
    list_append_for_ports(
        list, &(struct rule){.verdict = VERDICT_RETURN, .to_local = true, .protocol = IPPROTO_TCP},
        &ports);
}

/* With OTHER_TRAFFIC=reject: everything else that begins here. Replies to what came from outside
 * pass. What the kernel sends by itself has no process (ICMP, neighbour discovery). */
static void refuse_other(struct rule_list *list)
{
    struct rule *begins = list_append(list, VERDICT_TCP_RESET);
    begins->protocol = IPPROTO_TCP;
    begins->segment = SEGMENT_SYN;
    *list_append(list, VERDICT_DROP) = drop_unknown;
    list_append(list, VERDICT_RETURN)->protocol = IPPROTO_TCP;
    list_append(list, VERDICT_RETURN)->direction = DIRECTION_REPLY;
    struct rule *rest = list_append(list, VERDICT_PORT_UNREACHABLE);
    if (list->hook == HOOK_FORWARD)
        return;
    /* Datagrams also of the sockets that the kernel opens for a process (AF_RXRPC). */
    rest->protocol = IPPROTO_UDP;
    list_append(list, VERDICT_PORT_UNREACHABLE)->from_socket = true;
}

/* A raw socket makes segments that nat does not redirect, because they begin no connection. */
static void refuse_segments(struct rule_list *list)
{
    list_append_for_ports(
        list,
        &(struct rule){.verdict = VERDICT_TCP_RESET, .protocol = IPPROTO_TCP, .from_socket = true},
        &web_ports);
}

/* The guard. What nat has redirected no longer has a redirected port here. A SYN that has one was
 * missed by nat: connection tracking knows its addresses and ports from a connection without NAT,
 * or does not track it. What comes from no socket is refused only if it is a SYN, or belongs to no
 * connection: FINs and resets of sockets that mitmdump has closed have no owner that could be
 * exempt. */
static void build_filter(const struct config *config, struct rule_list *list)
{
    bool rejects_ipv6 = list->family == AF_INET6 && config->ipv6 == IPV6_REJECT;
    if (!config_has_guard(config, list->family))
        return;
    add_canary(list, VERDICT_PORT_UNREACHABLE, IPPROTO_UDP);
    exempt_owners(config, list);
    drop_foreign(list)->from_socket = true; /* IP_FREEBIND */
    add_local(list);
    exempt_destinations(config, list);
    add_replies(config, list);
    if (!rejects_ipv6)
        add_redirected(config, list);
    refuse_redirected(config, list, rejects_ipv6 ? SEGMENT_ANY : SEGMENT_SYN);
    if (!rejects_ipv6) {
        list_append_redirected(config, list, &drop_unknown);
        add_simultaneous_open(list);
        refuse_segments(list);
    }
    if (!config->other_traffic_allowed)
        refuse_other(list);
}

/* A frame that CAP_NET_RAW makes (AF_PACKET) for lo comes by no OUTPUT, and no gate stands there.
 * What goes to the pod's own link-local address comes by lo as well, and from such an address,
 * which nft then looks for at lo alone. */
static void build_input(const struct config *config, struct rule_list *list)
{
    if (!config_has_guard(config, list->family))
        return;
    if (list->family == AF_INET6)
        rule_match_destination(list_append(list, VERDICT_RETURN), AF_INET6, "fe80::", 10);
    drop_foreign(list)->in_loopback = true;
}

/* What the pod forwards for somebody else (containers in it, virtual machines) comes by no OUTPUT.
 * No segment of it goes to 80 and 443, which no client has as its own port: both ends may connect
 * to each other at once, and a connection may be from before the rules. Other ports may be those of
 * clients of a server behind the pod. */
static void build_forward(const struct config *config, struct rule_list *list)
{
    if (!config_has_guard(config, list->family) || config->forwarded_allowed)
        return;
    exempt_destinations(config, list);
    add_replies(config, list);
    refuse_redirected(config, list, SEGMENT_SYN);
    list_append_for_ports(
        list, &(struct rule){.verdict = VERDICT_TCP_RESET, .protocol = IPPROTO_TCP}, &web_ports);
    if (config->extra_ports.count > 0)
        list_append_redirected(config, list, &drop_unknown);
    if (!config->other_traffic_allowed)
        refuse_other(list);
}

static int find_devices(struct devices *devices, struct error *error)
{
    int socket = netlink_open(NETLINK_ROUTE, error);
    if (socket < 0)
        return -1;
    int result = devices_read(socket, devices, error);
    close(socket);
    return result;
}

/* Makes a list the empty one; its rules, which are many, are not copied. */
static void begin(struct rule_list *list, const struct rule_list *empty)
{
    list->table = empty->table;
    list->hook = empty->hook;
    list->family = empty->family;
    list->count = 0;
}

static void build(const struct config *config, struct rule_list *list)
{
    if (list->hook == HOOK_FORWARD)
        build_forward(config, list);
    else if (list->hook == HOOK_INPUT)
        build_input(config, list);
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
        begin(&set->lists[i], &no_rules.lists[i]);
        build(config, &set->lists[i]);
    }
    begin(&set->gate, &no_rules.gate);
}

int rules_build_gate(const struct config *config, struct ruleset *set, struct error *error)
{
    set->gate.count = 0;
    if (find_devices(&set->devices, error) != 0)
        return error_prefix(error, "the devices for the gate");
    if (set->devices.count > 0)
        gate_build(config, &set->gate);
    return 0;
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
