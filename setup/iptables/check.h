#ifndef SETUP_IPTABLES_CHECK_H
#define SETUP_IPTABLES_CHECK_H

#include <stdbool.h>

#include "common/base/error.h"
#include "setup/rules/rules.h"

/* What the kernel's legacy tables can do, asked of the kernel itself, without a change. */

/* Are the tables and extensions there that the set needs, and may this process use them? 0, or -1
 * with error: 77 and the capability, 69 and what is missing. */
int iptables_check(const struct ruleset *set, struct error *error);

/* Empties the lists that the set does not require and the kernel has no table or extension for. */
void iptables_trim(struct ruleset *set);

/* May the list's table hold something of ours? Needs no CAP_NET_RAW, which libiptc does: a chain's
 * name stands in the table as it is. In doubt, true. */
bool iptables_table_holds_ours(const struct rule_list *list);

#endif
