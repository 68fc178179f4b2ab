#ifndef SETUP_IPTABLES_ENTRY_H
#define SETUP_IPTABLES_ENTRY_H

#include <libiptc/libiptc.h>
#include <stdbool.h>

#include "setup/rules.h"

/* Rules in the form in which the kernel's legacy tables take them: struct ipt_entry, matches and a
 * target, one behind the other. libiptc checks none of it, the kernel all. */

enum { ENTRY_MAX_BYTES = 1024 };

union entry {
    struct ipt_entry v4;
    unsigned char bytes[ENTRY_MAX_BYTES];
};

/* Encodes a rule. */
void entry_encode(const struct rule *rule, union entry *entry);

/* Encodes an unconditional jump to a chain. */
void entry_encode_jump(const char *chain, union entry *entry);

/* Decodes what entry_encode can have made; target is its target's name in libiptc's words. False if
 * it is anything else. */
bool entry_decode(const struct ipt_entry *entry, const char *target, struct rule *rule);

#endif
