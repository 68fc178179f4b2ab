#include "setup/iptables_entry.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <stddef.h>
#include <string.h>

/* Names, revisions and layouts are the kernel's: include/uapi/linux/netfilter/ of Linux, and the
 * xt_match and xt_target tables of net/netfilter/xt_multiport.c, xt_owner.c, xt_REDIRECT.c. */
enum { MULTIPORT_REVISION = 1, OWNER_REVISION = 1, REDIRECT_REVISION = 0 };

/* Puts a match or target header and its data behind what is in the entry; both begin with the same
 * union of size, name and revision. Returns where the data is. */
static void *append(union entry *entry, const char *name, uint8_t revision, size_t size)
{
    struct xt_entry_match *header = (void *)(entry->bytes + entry->v4.next_offset);
    size_t total = XT_ALIGN(sizeof(*header) + size);
    header->u.user.match_size = (uint16_t)total;
    header->u.user.revision = revision;
    strlcpy(header->u.user.name, name, sizeof(header->u.user.name));
    entry->v4.next_offset = (uint16_t)(entry->v4.next_offset + total);
    return header->data;
}

static void begin(union entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->v4.target_offset = sizeof(struct ipt_entry);
    entry->v4.next_offset = sizeof(struct ipt_entry);
}

static void end_matches(union entry *entry)
{
    entry->v4.target_offset = entry->v4.next_offset;
}

/* A verdict or a jump: libiptc reads the name and makes the number of it. */
static void append_standard_target(union entry *entry, const char *name)
{
    append(entry, name, 0,
           sizeof(struct xt_standard_target) - offsetof(struct xt_standard_target, verdict));
}

static void encode_header(const struct rule *rule, struct ipt_ip *ip)
{
    ip->proto = rule->protocol;
    if (rule->has_destination) {
        memcpy(&ip->dst, &rule->destination, sizeof(ip->dst));
        ip->dmsk.s_addr = rule->prefix == 0 ? 0 : htonl(UINT32_MAX << (32 - rule->prefix));
    }
    if (rule->out_loopback) {
        strlcpy(ip->outiface, "lo", sizeof(ip->outiface));
        memset(ip->outiface_mask, 0xff, sizeof("lo"));
    }
}

static void encode_matches(const struct rule *rule, union entry *entry)
{
    if (rule->port_count > 0) {
        struct xt_multiport_v1 *ports =
            append(entry, "multiport", MULTIPORT_REVISION, sizeof(struct xt_multiport_v1));
        ports->flags = XT_MULTIPORT_DESTINATION;
        ports->count = rule->port_count;
        memcpy(ports->ports, rule->ports, rule->port_count * sizeof(rule->ports[0]));
    }
    if (rule->has_owner) {
        struct xt_owner_match_info *owner =
            append(entry, "owner", OWNER_REVISION, sizeof(struct xt_owner_match_info));
        owner->match = XT_OWNER_UID;
        owner->uid_min = rule->owner;
        owner->uid_max = rule->owner;
    }
}

static void encode_target(const struct rule *rule, union entry *entry)
{
    if (rule->verdict == VERDICT_RETURN) {
        append_standard_target(entry, IPTC_LABEL_RETURN);
        return;
    }
    struct nf_nat_ipv4_multi_range_compat *ranges =
        append(entry, "REDIRECT", REDIRECT_REVISION, sizeof(*ranges));
    ranges->rangesize = 1;
    ranges->range[0].flags = NF_NAT_RANGE_PROTO_SPECIFIED;
    ranges->range[0].min.all = htons(rule->to_port);
    ranges->range[0].max.all = htons(rule->to_port);
}

void entry_encode(const struct rule *rule, union entry *entry)
{
    begin(entry);
    encode_header(rule, &entry->v4.ip);
    encode_matches(rule, entry);
    end_matches(entry);
    encode_target(rule, entry);
}

void entry_encode_jump(const char *chain, union entry *entry)
{
    begin(entry);
    append_standard_target(entry, chain);
}

static bool decode_header(const struct ipt_ip *ip, struct rule *rule)
{
    static const unsigned char lo_mask[IFNAMSIZ] = {0xff, 0xff, 0xff};
    uint32_t mask = ntohl(ip->dmsk.s_addr);
    if (ip->flags != 0 || ip->invflags != 0 || ip->smsk.s_addr != 0 || ip->iniface_mask[0] != 0)
        return false;
    rule->protocol = (uint8_t)ip->proto;
    rule->prefix = mask == 0 ? 0 : (uint8_t)__builtin_popcount(mask);
    rule->has_destination = mask != 0;
    if (mask != (rule->prefix == 0 ? 0 : UINT32_MAX << (32 - rule->prefix)))
        return false;
    memcpy(&rule->destination, &ip->dst, sizeof(ip->dst));
    rule->out_loopback = ip->outiface_mask[0] != 0;
    return !rule->out_loopback || (strcmp(ip->outiface, "lo") == 0 &&
                                   memcmp(ip->outiface_mask, lo_mask, sizeof(lo_mask)) == 0);
}

static bool decode_ports(const struct xt_multiport_v1 *ports, struct rule *rule)
{
    if (ports->flags != XT_MULTIPORT_DESTINATION || ports->invert != 0 ||
        ports->count > RULE_PORTS_MAX || rule->port_count > 0)
        return false;
    rule->port_count = ports->count;
    for (int i = 0; i < ports->count; i++) {
        if (ports->pflags[i] != 0)
            return false;
        rule->ports[i] = ports->ports[i];
    }
    return true;
}

static bool decode_owner(const struct xt_owner_match_info *owner, struct rule *rule)
{
    if (owner->match != XT_OWNER_UID || owner->invert != 0 || owner->uid_min != owner->uid_max ||
        rule->has_owner)
        return false;
    rule->has_owner = true;
    rule->owner = owner->uid_min;
    return true;
}

static bool decode_match(const struct xt_entry_match *match, struct rule *rule)
{
    const void *data = match->data;
    if (strcmp(match->u.user.name, "multiport") == 0 &&
        match->u.user.revision == MULTIPORT_REVISION)
        return decode_ports(data, rule);
    if (strcmp(match->u.user.name, "owner") == 0 && match->u.user.revision == OWNER_REVISION)
        return decode_owner(data, rule);
    return false;
}

static bool decode_matches(const struct ipt_entry *entry, struct rule *rule)
{
    const unsigned char *bytes = (const unsigned char *)entry;
    size_t offset = sizeof(*entry);
    while (offset < entry->target_offset) {
        const struct xt_entry_match *match = (const void *)(bytes + offset);
        if (!decode_match(match, rule))
            return false;
        offset += match->u.match_size;
    }
    return true;
}

static bool decode_target(const struct ipt_entry *entry, const char *name, struct rule *rule)
{
    const struct xt_entry_target *target =
        (const void *)((const unsigned char *)entry + entry->target_offset);
    if (strcmp(name, IPTC_LABEL_RETURN) == 0) {
        rule->verdict = VERDICT_RETURN;
        return true;
    }
    if (strcmp(name, "REDIRECT") != 0 || target->u.user.revision != REDIRECT_REVISION)
        return false;
    const struct nf_nat_ipv4_multi_range_compat *ranges = (const void *)target->data;
    if (ranges->rangesize != 1 || ranges->range[0].flags != NF_NAT_RANGE_PROTO_SPECIFIED ||
        ranges->range[0].min.all != ranges->range[0].max.all)
        return false;
    rule->verdict = VERDICT_REDIRECT;
    rule->to_port = ntohs(ranges->range[0].min.all);
    return true;
}

bool entry_decode(const struct ipt_entry *entry, const char *target, struct rule *rule)
{
    memset(rule, 0, sizeof(*rule));
    return decode_header(&entry->ip, rule) && decode_matches(entry, rule) &&
           decode_target(entry, target, rule);
}
