#ifndef SETUP_IPTABLES_LAYOUT_H
#define SETUP_IPTABLES_LAYOUT_H

#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <netinet/in.h>
#include <stdint.h>

#include "setup/iptables/entry.h"

/* What encoding and decoding entries share. Names, revisions and layouts are the kernel's:
 * include/uapi/linux/netfilter/ of Linux, and the xt_match and xt_target tables of
 * net/netfilter/xt_tcpudp.c, xt_addrtype.c, xt_multiport.c, xt_owner.c, xt_conntrack.c,
 * xt_REDIRECT.c and of net/ipv4/netfilter/ipt_REJECT.c, net/ipv6/netfilter/ip6t_REJECT.c. */
enum {
    TCP_REVISION = 0,
    ADDRTYPE_REVISION = 1,
    MULTIPORT_REVISION = 1,
    OWNER_REVISION = 1,
    CONNTRACK_REVISION = 3,
    REDIRECT_REVISION = 0,
    REJECT_REVISION = 0
};

/* The match for a kind of segments. */
struct xt_tcp entry_segment(enum tcp_segment segment);

/* The match for an address of this namespace as destination, and for a foreign one as source. */
extern const struct xt_addrtype_info_v1 entry_to_local;
struct xt_addrtype_info_v1 entry_from_foreign(int family);

/* The match for a direction of a connection. */
struct xt_conntrack_mtinfo3 entry_direction(enum direction direction);

/* The member that both kinds of entry have, at different places: where the target begins. */
uint16_t *entry_target_offset(int family, union entry *entry);

/* The size of the part before the matches. */
uint16_t entry_header_size(int family);

void entry_prefix_to_mask(uint8_t prefix, struct in6_addr *mask);

/* ipt_reject_info and ip6t_reject_info are one 32-bit number each: that of the verdict. */
uint32_t entry_reject_with(int family, enum verdict verdict);

#endif
