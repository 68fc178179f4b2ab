#ifndef SETUP_IPTABLES_H
#define SETUP_IPTABLES_H

#include <stdbool.h>
#include <stdio.h>

#include "common/error.h"
#include "setup/rules.h"

/* The backend for the kernel's legacy tables, by libiptc. Our rules are a chain of their own in the
 * nat table, and a jump to it at position 1 of OUTPUT. Each change is one commit of the table, and
 * is believed only when it has been read back. */

/* What of ours was there before a change, for iptables_restore. */
struct iptables_snapshot;

/* Makes the live rules those of the list. Sets *changed to whether anything had to be done. With
 * snapshot not NULL, stores what was there before, which the caller frees. 0, or -1 with error;
 * the table is as before then. */
int iptables_apply(const struct rule_list *list, bool *changed, struct iptables_snapshot **snapshot,
                   struct error *error);

/* Puts back what the snapshot has. */
int iptables_restore(const struct iptables_snapshot *snapshot, struct error *error);
void iptables_snapshot_free(struct iptables_snapshot *snapshot);

/* Removes our chain and every jump to it from OUTPUT. Nothing there, or no such table in this
 * kernel, is no error. */
int iptables_clear(bool *changed, struct error *error);

/* Compares the live rules with the list, and prints a line a row to out: what is as it should be,
 * missing, or not ours. Returns how many rows differ, or -1 with error. */
int iptables_compare(const struct rule_list *list, FILE *out, struct error *error);

#endif
