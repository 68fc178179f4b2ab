#include "setup/rules/gate.h"

#include "setup/rules/exemptions.h"

static struct rule *append_drop(struct rule_list *list)
{
    struct rule *rule = list_append(list, VERDICT_DROP);
    rule->from_socket = true;
    return rule;
}

/* AF_UNSPEC: frames that are called ARP. */
static void drop_misnamed(struct rule_list *list, int family)
{
    struct rule *rule = append_drop(list);
    rule->frame = FRAME_MISNAMED;
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

/* nat redirects what a socket sends that is bound to a device; it leaves by that all the same, with
 * data if it is a SYN of TCP Fast Open. */
static void drop_loopback(struct rule_list *list, int family, const char *network, uint8_t prefix)
{
    rule_match_destination(list_append(list, VERDICT_DROP), family, network, prefix);
}

static struct rule *append_part(struct rule_list *list, enum part part, uint8_t protocol)
{
    struct rule *rule = list_append(list, VERDICT_RETURN);
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
 * What the kernel sends by itself, or forwards, has no socket, and has been judged before; but who
 * has closed his socket while a neighbour was looked for has none either. So what begins a
 * connection and datagrams are dropped whoever sends them, unless what is forwarded may pass;
 * mitmdump's have come to an end with their socket. 80 and 443 are no client's own ports: for these
 * no segment passes. Other ports may be those of a client of a server in the pod: a range leaves
 * their datagrams to the guard, which knows a reply. */
void gate_build(const struct config *config, struct rule_list *list)
{
    list->count = 0;
    exempt_owners(config, list);
    drop_misnamed(list, AF_UNSPEC);
    drop_misnamed(list, AF_INET);
    drop_misnamed(list, AF_INET6);
    drop_loopback(list, AF_INET, "127.0.0.0", 8);
    if (config->ipv6 == IPV6_OFF)
        list_append(list, VERDICT_RETURN)->frame = FRAME_IPV6;
    else
        drop_loopback(list, AF_INET6, "::1", 128);
    exempt_destinations(config, list);
    drop_tcp_fragments(list);
    pass_later_fragments(list);
    struct rule drop = {
        .verdict = VERDICT_DROP, .from_socket = config->forwarded_allowed, .protocol = IPPROTO_UDP};
    if (!config->quic_allowed && ports_refuse_replies(config))
        list_append_for_ports(list, &drop, &web_ports);
    else if (!config->quic_allowed)
        list_append_redirected(config, list, &drop);
    drop.protocol = IPPROTO_TCP;
    drop.segment = SEGMENT_SYN;
    if (config->other_traffic_allowed)
        list_append_redirected(config, list, &drop);
    else
        *list_append(list, VERDICT_DROP) = drop;
    drop.segment = SEGMENT_ANY;
    drop.from_socket = true;
    list_append_for_ports(list, &drop, &web_ports);
    drop.family = AF_INET6;
    if (config->ipv6 == IPV6_REJECT)
        list_append_redirected(config, list, &drop);
    drop_unreadable(config, list);
}
