#include "setup/iptables/entry.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <stdlib.h>
#include <string.h>

#include "setup/iptables/layout.h"
#include "setup/iptables/uid_map.h"

static bool decode_interface(const char *name, const unsigned char mask[IFNAMSIZ],
                             bool *is_loopback)
{
    static const unsigned char lo_mask[IFNAMSIZ] = {0xff, 0xff, 0xff};
    *is_loopback = mask[0] != 0;
    return !*is_loopback ||
           (strcmp(name, "lo") == 0 && memcmp(mask, lo_mask, sizeof(lo_mask)) == 0);
}

/* Accepts only masks that are prefixes. */
static bool decode_destination(int family, const void *address, const void *mask, size_t size,
                               struct rule *rule)
{
    struct in6_addr live = {0}, expected;
    memcpy(&live, mask, size);
    for (size_t i = 0; i < size; i++)
        rule->destination.prefix =
            (uint8_t)(rule->destination.prefix + __builtin_popcount(live.s6_addr[i]));
    entry_prefix_to_mask(rule->destination.prefix, &expected);
    if (memcmp(&live, &expected, sizeof(live)) != 0)
        return false;
    rule->has_destination = rule->destination.prefix > 0;
    if (rule->has_destination)
        rule->destination.family = family;
    memcpy(&rule->destination.address, address, size);
    return true;
}

static bool decode_header(int family, const union entry *entry, struct rule *rule)
{
    if (family == AF_INET) {
        const struct ipt_ip *ip = &entry->v4.ip;
        rule->protocol = (uint8_t)ip->proto;
        return ip->flags == 0 && ip->invflags == 0 && ip->smsk.s_addr == 0 &&
               decode_interface(ip->iniface, ip->iniface_mask, &rule->in_loopback) &&
               decode_interface(ip->outiface, ip->outiface_mask, &rule->out_loopback) &&
               decode_destination(family, &ip->dst, &ip->dmsk, sizeof(ip->dst), rule);
    }
    const struct ip6t_ip6 *ip6 = &entry->v6.ipv6;
    rule->protocol = (uint8_t)ip6->proto;
    return (ip6->flags & ~IP6T_F_PROTO) == 0 && ip6->invflags == 0 &&
           IN6_IS_ADDR_UNSPECIFIED(&ip6->smsk) &&
           decode_interface(ip6->iniface, ip6->iniface_mask, &rule->in_loopback) &&
           decode_interface(ip6->outiface, ip6->outiface_mask, &rule->out_loopback) &&
           decode_destination(family, &ip6->dst, &ip6->dmsk, sizeof(ip6->dst), rule);
}

static bool decode_ports(const struct xt_multiport_v1 *ports, struct rule *rule)
{
    if (ports->flags != XT_MULTIPORT_DESTINATION || ports->invert != 0 ||
        ports->count > RULE_PORTS_MAX || rule->range_count > 0)
        return false;
    for (int i = 0; i < ports->count; i++) {
        struct port_range *range = &rule->ranges[rule->range_count++];
        range->first = ports->ports[i];
        if (ports->pflags[i] != 0 && ++i == ports->count)
            return false;
        range->last = ports->ports[i];
    }
    return true;
}

static bool decode_owner(const struct xt_owner_match_info *owner, struct rule *rule)
{
    if (owner->match != XT_OWNER_UID || owner->invert != 0 || rule->has_owner || rule->from_socket)
        return false;
    rule->from_socket = owner->uid_min == 0 && owner->uid_max == uid_map_last();
    rule->has_owner = owner->uid_min == owner->uid_max;
    rule->owner = rule->has_owner ? owner->uid_min : 0;
    return rule->has_owner || rule->from_socket;
}

static bool decode_segment(const struct xt_tcp *tcp, struct rule *rule)
{
    if (rule->segment != SEGMENT_ANY)
        return false;
    for (enum tcp_segment segment = SEGMENT_SYN; segment <= SEGMENT_SYN_ACK; segment++) {
        struct xt_tcp known = entry_segment(segment);
        if (memcmp(tcp, &known, sizeof(known)) == 0)
            rule->segment = segment;
    }
    return rule->segment != SEGMENT_ANY;
}

static bool decode_address_type(int family, const struct xt_addrtype_info_v1 *types,
                                struct rule *rule)
{
    struct xt_addrtype_info_v1 from_foreign = entry_from_foreign(family);
    if (rule->to_local || rule->from_foreign)
        return false;
    rule->to_local = memcmp(types, &entry_to_local, sizeof(*types)) == 0;
    rule->from_foreign = memcmp(types, &from_foreign, sizeof(*types)) == 0;
    return rule->to_local || rule->from_foreign;
}

static bool decode_direction(const struct xt_conntrack_mtinfo3 *conntrack, struct rule *rule)
{
    if (rule->direction != DIRECTION_ANY)
        return false;
    for (enum direction direction = DIRECTION_ORIGINAL; direction <= DIRECTION_NONE; direction++) {
        struct xt_conntrack_mtinfo3 known = entry_direction(direction);
        if (memcmp(conntrack, &known, sizeof(known)) == 0)
            rule->direction = direction;
    }
    return rule->direction != DIRECTION_ANY;
}

static bool is_match(const struct xt_entry_match *match, const char *name, uint8_t revision)
{
    return strcmp(match->u.user.name, name) == 0 && match->u.user.revision == revision;
}

static bool decode_match(int family, const struct xt_entry_match *match, struct rule *rule)
{
    const void *data = match->data;
    if (is_match(match, "tcp", TCP_REVISION))
        return decode_segment(data, rule);
    if (is_match(match, "addrtype", ADDRTYPE_REVISION))
        return decode_address_type(family, data, rule);
    if (is_match(match, "multiport", MULTIPORT_REVISION))
        return decode_ports(data, rule);
    if (is_match(match, "owner", OWNER_REVISION))
        return decode_owner(data, rule);
    return is_match(match, "conntrack", CONNTRACK_REVISION) && decode_direction(data, rule);
}

static bool decode_matches(int family, union entry *entry, struct rule *rule)
{
    size_t offset = entry_header_size(family);
    while (offset < *entry_target_offset(family, entry)) {
        const struct xt_entry_match *match = (const void *)((const unsigned char *)entry + offset);
        if (!decode_match(family, match, rule))
            return false;
        offset += match->u.match_size;
    }
    return true;
}

static bool decode_redirect(int family, const void *data, struct rule *rule)
{
    const struct nf_nat_ipv4_multi_range_compat *v4 = data;
    const struct nf_nat_range *v6 = data;
    bool is_v4 = family == AF_INET;
    unsigned int flags = is_v4 ? v4->range[0].flags : v6->flags;
    uint16_t from = is_v4 ? v4->range[0].min.all : v6->min_proto.all;
    uint16_t to = is_v4 ? v4->range[0].max.all : v6->max_proto.all;
    rule->verdict = VERDICT_REDIRECT;
    rule->to_port = ntohs(from);
    return flags == NF_NAT_RANGE_PROTO_SPECIFIED && from == to && (!is_v4 || v4->rangesize == 1);
}

static bool decode_reject(int family, const void *data, struct rule *rule)
{
    const uint32_t *with = data;
    rule->verdict = *with == entry_reject_with(family, VERDICT_TCP_RESET)
                        ? VERDICT_TCP_RESET
                        : VERDICT_PORT_UNREACHABLE;
    return *with == entry_reject_with(family, rule->verdict);
}

static bool decode_target(int family, union entry *entry, struct rule *rule)
{
    const struct xt_entry_target *target =
        (const void *)((const unsigned char *)entry + *entry_target_offset(family, entry));
    const char *name = target->u.user.name;
    rule->verdict = strcmp(name, IPTC_LABEL_DROP) == 0 ? VERDICT_DROP : VERDICT_RETURN;
    if (rule->verdict == VERDICT_DROP || strcmp(name, IPTC_LABEL_RETURN) == 0)
        return true;
    if (strcmp(name, "REDIRECT") == 0 && target->u.user.revision == REDIRECT_REVISION)
        return decode_redirect(family, target->data, rule);
    if (strcmp(name, "REJECT") == 0 && target->u.user.revision == REJECT_REVISION)
        return decode_reject(family, target->data, rule);
    return false;
}

bool entry_decode(int family, const void *live, const char *target, struct rule *rule)
{
    union entry *clone = entry_clone(family, live, target);
    memset(rule, 0, sizeof(*rule));
    bool known = clone != NULL && decode_header(family, clone, rule) &&
                 decode_matches(family, clone, rule) && decode_target(family, clone, rule);
    free(clone);
    return known;
}
