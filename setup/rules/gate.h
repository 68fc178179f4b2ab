#ifndef SETUP_RULES_GATE_H
#define SETUP_RULES_GATE_H

#include "setup/rules/rule.h"

/* Fills the list of the gate from the configuration. */
void gate_build(const struct config *config, struct rule_list *list);

#endif
