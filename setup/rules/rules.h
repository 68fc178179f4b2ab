#ifndef SETUP_RULES_RULES_H
#define SETUP_RULES_RULES_H

#include "common/base/error.h"
#include "setup/rules/rule.h"

/* Which rules there are, for a configuration. */

/* No rule in any table; the lists of every set are in this order. */
extern const struct ruleset no_rules;

/* Fills set from the configuration, but for the gate, which is empty. */
void rules_build(const struct config *config, struct ruleset *set);

/* Fills in the gate, which is empty where there are no devices. 0, or -1 with error. */
int rules_build_gate(const struct config *config, struct ruleset *set, struct error *error);

/* The number of rules in all lists but the gate. */
size_t rules_count(const struct ruleset *set);

/* False for a list that may fail: see ipv6_required. */
bool rules_are_required(const struct ruleset *set, const struct rule_list *list);

#endif
