#ifndef SETUP_RULES_EXEMPTIONS_H
#define SETUP_RULES_EXEMPTIONS_H

#include "setup/rules/rule.h"

/* Rules for whoever, and wherever to, the other rules of a list do not count. */

/* The proxy's own user, and MITMPROXY_EXCLUDE_UIDS. */
void exempt_owners(const struct config *config, struct rule_list *list);

/* MITMPROXY_EXCLUDE_CIDRS and MITMPROXY_EXCLUDE_PORTS, and nameservers where their port is
 * redirected or refused. */
void exempt_destinations(const struct config *config, struct rule_list *list);

#endif
