#include "setup/rules/exemptions.h"

#include <string.h>

#include "setup/rules/nameservers.h"

static void add_owner(struct rule_list *list, uid_t uid)
{
    struct rule *rule = list_append(list, VERDICT_RETURN);
    rule->has_owner = true;
    rule->owner = uid;
}

/* The proxy itself, and what the configuration excludes. */
void exempt_owners(const struct config *config, struct rule_list *list)
{
    add_owner(list, config->user.uid);
    for (size_t i = 0; i < config->exclude_uids.count; i++)
        add_owner(list, config->exclude_uids.uids[i]);
}

static void add_networks(const struct config *config, struct rule_list *list)
{
    for (size_t i = 0; i < config->exclude_cidrs.count; i++) {
        const struct cidr *network = &config->exclude_cidrs.networks[i];
        if (list->family != AF_UNSPEC && network->family != list->family)
            continue;
        struct rule *rule = list_append(list, VERDICT_RETURN);
        rule->has_destination = true;
        rule->destination = *network;
    }
}

static void add_ports(const struct config *config, struct rule_list *list, uint8_t protocol)
{
    struct port_set ports = {0};
    for (size_t i = 0; i < config->exclude_ports.count; i++)
        port_set_add(&ports, config->exclude_ports.ranges[i]);
    list_append_for_ports(list, &(struct rule){.verdict = VERDICT_RETURN, .protocol = protocol},
                          &ports);
}

static void add_nameserver(struct rule_list *list, const char *address, uint8_t protocol)
{
    struct rule *rule = list_append(list, VERDICT_RETURN);
    rule_match_destination(rule, strchr(address, ':') != NULL ? AF_INET6 : AF_INET, address,
                           strchr(address, ':') != NULL ? 128 : 32);
    rule->protocol = protocol;
    rule_add_port(rule, 53);
}

/* Names are resolved by the nameservers of resolv.conf, whatever else is redirected or refused. One
 * that asks for port 53 by its number wants to see what is said there. */
static void add_nameservers(const struct config *config, struct rule_list *list)
{
    char addresses[NAMESERVERS_MAX][INET6_ADDRSTRLEN];
    struct port_set redirected;
    port_set_redirected(config, &redirected);
    bool is_redirected = port_is_in(redirected.ranges, redirected.count, 53);
    if (port_is_named(&config->extra_ports, 53) ||
        (!is_redirected && config->other_traffic_allowed))
        return;
    size_t count = nameservers_read(addresses);
    for (size_t i = 0; i < count; i++) {
        bool is_v6 = strchr(addresses[i], ':') != NULL;
        if (list->family != AF_UNSPEC && is_v6 != (list->family == AF_INET6))
            continue;
        add_nameserver(list, addresses[i], IPPROTO_UDP);
        add_nameserver(list, addresses[i], IPPROTO_TCP);
    }
}

void exempt_destinations(const struct config *config, struct rule_list *list)
{
    add_networks(config, list);
    add_ports(config, list, IPPROTO_TCP);
    if (list->table != TABLE_NAT)
        add_ports(config, list, IPPROTO_UDP);
    add_nameservers(config, list);
}
