#include "setup/iptables/entry.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter_ipv4/ipt_REJECT.h>
#include <linux/netfilter_ipv6/ip6t_REJECT.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "setup/iptables/layout.h"
#include "setup/iptables/uid_map.h"

struct xt_tcp entry_segment(enum tcp_segment segment)
{
    return (struct xt_tcp){
        .spts = {0, UINT16_MAX},
        .dpts = {0, UINT16_MAX},
        .flg_mask = TH_SYN | TH_RST | TH_ACK,
        .flg_cmp = segment == SEGMENT_SYN ? TH_SYN : TH_SYN | TH_ACK,
    };
}

const struct xt_addrtype_info_v1 entry_to_local = {.dest = XT_ADDRTYPE_LOCAL};

/* 0.0.0.0 counts as broadcast, which IPv6 does not have. */
struct xt_addrtype_info_v1 entry_from_foreign(int family)
{
    return (struct xt_addrtype_info_v1){
        .source = family == AF_INET ? XT_ADDRTYPE_LOCAL | XT_ADDRTYPE_BROADCAST : XT_ADDRTYPE_LOCAL,
        .flags = XT_ADDRTYPE_INVERT_SOURCE,
    };
}

/* The two members that both kinds of entry have, at different places. */
uint16_t *entry_target_offset(int family, union entry *entry)
{
    return family == AF_INET ? &entry->v4.target_offset : &entry->v6.target_offset;
}

static uint16_t *next_offset(int family, union entry *entry)
{
    return family == AF_INET ? &entry->v4.next_offset : &entry->v6.next_offset;
}

uint16_t entry_header_size(int family)
{
    return family == AF_INET ? sizeof(struct ipt_entry) : sizeof(struct ip6t_entry);
}

/* Appends a match or target header and its data to the entry; both kinds begin with the same union
 * of size, name and revision. Returns where the data is. */
static void *append(int family, union entry *entry, const char *name, uint8_t revision, size_t size)
{
    uint16_t *end = next_offset(family, entry);
    struct xt_entry_match *header = (void *)(entry->bytes + *end);
    size_t total = XT_ALIGN(sizeof(*header) + size);
    header->u.user.match_size = (uint16_t)total;
    header->u.user.revision = revision;
    strlcpy(header->u.user.name, name, sizeof(header->u.user.name));
    *end = (uint16_t)(*end + total);
    return header->data;
}

static void begin(int family, union entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    *entry_target_offset(family, entry) = entry_header_size(family);
    *next_offset(family, entry) = entry_header_size(family);
}

/* A verdict or a jump: libiptc translates the name into a number. */
static void append_standard_target(int family, union entry *entry, const char *name)
{
    append(family, entry, name, 0,
           sizeof(struct xt_standard_target) - offsetof(struct xt_standard_target, verdict));
}

void entry_prefix_to_mask(uint8_t prefix, struct in6_addr *mask)
{
    memset(mask, 0, sizeof(*mask));
    for (int bit = 0; bit < prefix; bit++)
        mask->s6_addr[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
}

static void encode_interface(bool is_loopback, char name[IFNAMSIZ], unsigned char mask[IFNAMSIZ])
{
    if (!is_loopback)
        return;
    strlcpy(name, "lo", IFNAMSIZ);
    memset(mask, 0xff, sizeof("lo"));
}

static void encode_header(int family, const struct rule *rule, union entry *entry)
{
    struct in6_addr mask;
    entry_prefix_to_mask(rule->destination.prefix, &mask);
    if (family == AF_INET) {
        struct ipt_ip *ip = &entry->v4.ip;
        ip->proto = rule->protocol;
        memcpy(&ip->dst, &rule->destination.address, sizeof(ip->dst));
        memcpy(&ip->dmsk, &mask, sizeof(ip->dmsk));
        encode_interface(rule->in_loopback, ip->iniface, ip->iniface_mask);
        encode_interface(rule->out_loopback, ip->outiface, ip->outiface_mask);
        return;
    }
    struct ip6t_ip6 *ip6 = &entry->v6.ipv6;
    ip6->proto = rule->protocol;
    ip6->flags = rule->protocol != 0 ? IP6T_F_PROTO : 0;
    ip6->dst = rule->destination.address;
    ip6->dmsk = mask;
    encode_interface(rule->in_loopback, ip6->iniface, ip6->iniface_mask);
    encode_interface(rule->out_loopback, ip6->outiface, ip6->outiface_mask);
}

/* A range is two ports, of which the first one is marked. */
static void encode_ports(const struct rule *rule, struct xt_multiport_v1 *ports)
{
    ports->flags = XT_MULTIPORT_DESTINATION;
    for (int i = 0; i < rule->range_count; i++) {
        const struct port_range *range = &rule->ranges[i];
        ports->pflags[ports->count] = range->last > range->first;
        ports->ports[ports->count++] = range->first;
        if (range->last > range->first)
            ports->ports[ports->count++] = range->last;
    }
}

/* "--ctdir REPLY" of iptables is: not the original direction. */
struct xt_conntrack_mtinfo3 entry_direction(enum direction direction)
{
    if (direction == DIRECTION_NONE)
        return (struct xt_conntrack_mtinfo3){
            .match_flags = XT_CONNTRACK_STATE,
            .state_mask = XT_CONNTRACK_STATE_INVALID | XT_CONNTRACK_STATE_UNTRACKED,
        };
    return (struct xt_conntrack_mtinfo3){
        .match_flags = XT_CONNTRACK_DIRECTION,
        .invert_flags = direction == DIRECTION_REPLY ? XT_CONNTRACK_DIRECTION : 0,
    };
}

static void encode_matches(int family, const struct rule *rule, union entry *entry)
{
    if (rule->to_local || rule->from_foreign) {
        struct xt_addrtype_info_v1 *types =
            append(family, entry, "addrtype", ADDRTYPE_REVISION, sizeof(*types));
        *types = rule->to_local ? entry_to_local : entry_from_foreign(family);
    }
    if (rule->segment != SEGMENT_ANY) {
        struct xt_tcp *tcp = append(family, entry, "tcp", TCP_REVISION, sizeof(*tcp));
        *tcp = entry_segment(rule->segment);
    }
    if (rule->range_count > 0)
        encode_ports(rule, append(family, entry, "multiport", MULTIPORT_REVISION,
                                  sizeof(struct xt_multiport_v1)));
    if (rule->has_owner || rule->from_socket) {
        struct xt_owner_match_info *owner =
            append(family, entry, "owner", OWNER_REVISION, sizeof(*owner));
        owner->match = XT_OWNER_UID;
        owner->uid_min = rule->has_owner ? rule->owner : 0;
        owner->uid_max = rule->has_owner ? rule->owner : uid_map_last();
    }
    if (rule->direction != DIRECTION_ANY) {
        struct xt_conntrack_mtinfo3 *conntrack =
            append(family, entry, "conntrack", CONNTRACK_REVISION, sizeof(*conntrack));
        *conntrack = entry_direction(rule->direction);
    }
}

static void encode_redirect(int family, uint16_t port, union entry *entry)
{
    if (family == AF_INET) {
        struct nf_nat_ipv4_multi_range_compat *ranges =
            append(family, entry, "REDIRECT", REDIRECT_REVISION, sizeof(*ranges));
        ranges->rangesize = 1;
        ranges->range[0].flags = NF_NAT_RANGE_PROTO_SPECIFIED;
        ranges->range[0].min.all = htons(port);
        ranges->range[0].max.all = htons(port);
        return;
    }
    struct nf_nat_range *range =
        append(family, entry, "REDIRECT", REDIRECT_REVISION, sizeof(*range));
    range->flags = NF_NAT_RANGE_PROTO_SPECIFIED;
    range->min_proto.all = htons(port);
    range->max_proto.all = htons(port);
}

/* ipt_reject_info and ip6t_reject_info are one 32-bit number each. */
uint32_t entry_reject_with(int family, enum verdict verdict)
{
    if (verdict == VERDICT_TCP_RESET)
        return family == AF_INET ? (uint32_t)IPT_TCP_RESET : (uint32_t)IP6T_TCP_RESET;
    return family == AF_INET ? (uint32_t)IPT_ICMP_PORT_UNREACHABLE
                             : (uint32_t)IP6T_ICMP6_PORT_UNREACH;
}

static void encode_target(int family, const struct rule *rule, union entry *entry)
{
    if (rule->verdict == VERDICT_RETURN) {
        append_standard_target(family, entry, IPTC_LABEL_RETURN);
    } else if (rule->verdict == VERDICT_DROP) {
        append_standard_target(family, entry, IPTC_LABEL_DROP);
    } else if (rule->verdict == VERDICT_REDIRECT) {
        encode_redirect(family, rule->to_port, entry);
    } else {
        uint32_t *with = append(family, entry, "REJECT", REJECT_REVISION, sizeof(*with));
        *with = entry_reject_with(family, rule->verdict);
    }
}

void entry_encode(int family, const struct rule *rule, union entry *entry)
{
    begin(family, entry);
    encode_header(family, rule, entry);
    encode_matches(family, rule, entry);
    *entry_target_offset(family, entry) = *next_offset(family, entry);
    encode_target(family, rule, entry);
}

void entry_encode_jump(int family, const char *chain, union entry *entry)
{
    begin(family, entry);
    append_standard_target(family, entry, chain);
}

bool entry_is_unconditional(int family, const void *live)
{
    static const union entry all;
    const struct ipt_entry *v4 = live;
    const struct ip6t_entry *v6 = live;
    if (family == AF_INET)
        return memcmp(&v4->ip, &all.v4.ip, sizeof(v4->ip)) == 0 && v4->target_offset == sizeof(*v4);
    return memcmp(&v6->ipv6, &all.v6.ipv6, sizeof(v6->ipv6)) == 0 &&
           v6->target_offset == sizeof(*v6);
}

static unsigned int entry_size(int family, const void *entry)
{
    return family == AF_INET ? ((const struct ipt_entry *)entry)->next_offset
                             : ((const struct ip6t_entry *)entry)->next_offset;
}

void *entry_clone(int family, const void *live, const char *target)
{
    unsigned int size = entry_size(family, live);
    union entry *clone = malloc(size);
    if (clone == NULL)
        return NULL;
    memcpy(clone, live, size);
    struct xt_entry_target *header =
        (void *)((unsigned char *)clone + *entry_target_offset(family, clone));
    strlcpy(header->u.user.name, target, sizeof(header->u.user.name));
    return clone;
}
