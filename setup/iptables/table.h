#ifndef SETUP_IPTABLES_TABLE_H
#define SETUP_IPTABLES_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/base/error.h"
#include "setup/iptables/content.h"
#include "setup/rules/rules.h"

/* One of the kernel's legacy tables, by libiptc: a chain of our own, and a jump to it at position 1
 * of the kernel's. Each change is one commit of the table, and is believed only when it has been
 * read back. Whoever changes something holds the lock of setup/iptables/xtables_lock.h. Errors: 77
 * names the capability, 69 the table, chain and what libiptc says. */

/* Makes the live rules those of the list. An empty list means that nothing of ours may be there; a
 * table that the kernel lacks holds nothing. Sets *changed if anything had to be done. Stores what
 * was there before the first change in *snapshot (NULL if there was no change), for the caller to
 * free. 0, or -1 with error; *snapshot may be set then, too. */
int table_apply(const struct rule_list *list, bool *changed, struct table_snapshot **snapshot,
                struct error *error);

/* Puts back what the snapshot of the list's table has. */
int table_restore(const struct rule_list *list, const struct table_snapshot *snapshot,
                  struct error *error);

/* Prints a row for each live rule of ours in the list's table, and for each jump to our chain, as
 * iptables_print_row does. 0, or -1 with error. */
int table_print_live(const struct rule_list *list, FILE *out, struct error *error);

#endif
