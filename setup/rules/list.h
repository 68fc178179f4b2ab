#ifndef SETUP_RULES_LIST_H
#define SETUP_RULES_LIST_H

#include "setup/rules/ports.h"
#include "setup/rules/rules.h"

/* The words that rules.c makes its lists of. */

/* Appends a rule that matches everything, and returns it. */
struct rule *list_append(struct rule_list *list, enum verdict verdict);

/* Appends rules like this one, each with as many of the ports as it can have. */
void list_append_for_ports(struct rule_list *list, const struct rule *like,
                           const struct port_set *ports);

/* The same for the ports that are redirected. */
void list_append_redirected(const struct config *config, struct rule_list *list,
                            const struct rule *like);

/* The address is text of that family. */
void rule_match_destination(struct rule *rule, int family, const char *address, uint8_t prefix);

/* Ports are added in ascending order. */
void rule_add_port(struct rule *rule, uint16_t port);

#endif
