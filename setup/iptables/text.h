#ifndef SETUP_IPTABLES_TEXT_H
#define SETUP_IPTABLES_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "setup/rules/rules.h"

/* The legacy tables' rules as text. A row is a whole command ("iptables -t nat -A ..."), with
 * newline. */

/* The chain that a list's rules are in, and the kernel's own, which jumps to it. */
const char *iptables_chain(const struct rule_list *list);
const char *iptables_hook(const struct rule_list *list);

void iptables_print_row(FILE *out, const struct rule_list *list, const struct rule *rule);

/* Prints a rule that this project does not make. */
void iptables_print_unknown(FILE *out, const struct rule_list *list, const char *target);

/* The jump to our chain: position counts from 1, plain means without a condition. */
void iptables_print_jump(FILE *out, const struct rule_list *list, int position, bool plain);

/* The list in the syntax of iptables-restore --noflush. */
void iptables_print_restore(FILE *out, const struct rule_list *list);

#endif
