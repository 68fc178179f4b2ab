#ifndef SETUP_IPTABLES_CHECK_H
#define SETUP_IPTABLES_CHECK_H

#include <stdbool.h>

#include "common/base/error.h"
#include "setup/rules/rules.h"

/* What the kernel's legacy tables can do. These functions ask the kernel and change nothing in
 * it. */

/* Are the tables and extensions there that the set needs, and may this process use them? 0, or -1
 * with error: 77 and the capability, 69 and what is missing. */
int iptables_check(const struct ruleset *set, struct error *error);

/* Empties the lists that the set does not require and the kernel has no table or extension for. */
void iptables_trim(struct ruleset *set);

/* May the list's table hold something of ours? In doubt, true. Unlike libiptc this needs no
 * CAP_NET_RAW: it looks for our chain's name in the table's bytes. */
bool iptables_table_holds_ours(const struct rule_list *list);

#endif
