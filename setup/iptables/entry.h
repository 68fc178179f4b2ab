#ifndef SETUP_IPTABLES_ENTRY_H
#define SETUP_IPTABLES_ENTRY_H

#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <stdbool.h>

#include "setup/rules/rules.h"

/* Rules in the form that the kernel's legacy tables take: struct ipt_entry or ip6t_entry, followed
 * by matches and a target. The kernel checks all of it, libiptc nothing. */

enum { ENTRY_MAX_BYTES = 1024 };

union entry {
    struct ipt_entry v4;
    struct ip6t_entry v6;
    unsigned char bytes[ENTRY_MAX_BYTES];
};

/* Encodes a rule for family. */
void entry_encode(int family, const struct rule *rule, union entry *entry);

/* Encodes an unconditional jump to a chain. */
void entry_encode_jump(int family, const char *chain, union entry *entry);

/* Does a live entry match every packet? */
bool entry_is_unconditional(int family, const void *live);

/* Copies an entry of any size, with its target's name as libiptc spells it, so that it can be
 * inserted again. The caller frees it; NULL when memory is out. */
void *entry_clone(int family, const void *live, const char *target);

/* Decodes an entry that entry_encode can have made; target is its target's name as libiptc spells
 * it. False for any other entry. */
bool entry_decode(int family, const void *live, const char *target, struct rule *rule);

#endif
