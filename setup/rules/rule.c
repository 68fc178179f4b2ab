#include "setup/rules/rule.h"

#include <arpa/inet.h>
#include <string.h>

const char *table_name(enum table table)
{
    return table == TABLE_NAT ? "nat" : "filter";
}

struct rule *list_append(struct rule_list *list, enum verdict verdict)
{
    struct rule *rule = &list->rules[list->count++];
    memset(rule, 0, sizeof(*rule));
    rule->verdict = verdict;
    return rule;
}

void rule_match_destination(struct rule *rule, int family, const char *address, uint8_t prefix)
{
    rule->has_destination = true;
    rule->destination.family = family;
    rule->destination.prefix = prefix;
    inet_pton(family, address, &rule->destination.address);
}

static void add_range(struct rule *rule, uint16_t first, uint16_t last)
{
    rule->ranges[rule->range_count++] = (struct port_range){first, last};
}

void rule_add_port(struct rule *rule, uint16_t port)
{
    add_range(rule, port, port);
}

/* How many of the ports in a rule the kernel counts. */
static int places(const struct rule *rule)
{
    int count = 0;
    for (int i = 0; i < rule->range_count; i++)
        count += rule->ranges[i].last > rule->ranges[i].first ? 2 : 1;
    return count;
}

void list_append_for_ports(struct rule_list *list, const struct rule *like,
                           const struct port_set *ports)
{
    struct rule *rule = NULL;
    for (size_t i = 0; i < ports->count; i++) {
        if (rule == NULL || places(rule) + 2 > RULE_PORTS_MAX) {
            rule = list_append(list, like->verdict);
            *rule = *like;
        }
        add_range(rule, ports->ranges[i].first, ports->ranges[i].last);
    }
}

static bool cidr_equal(const struct cidr *a, const struct cidr *b)
{
    return a->family == b->family && a->prefix == b->prefix &&
           memcmp(&a->address, &b->address, sizeof(a->address)) == 0;
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
    return a->protocol == b->protocol && a->segment == b->segment &&
           a->range_count == b->range_count &&
           memcmp(a->ranges, b->ranges, sizeof(a->ranges)) == 0 &&
           a->has_destination == b->has_destination &&
           cidr_equal(&a->destination, &b->destination) && a->in_loopback == b->in_loopback &&
           a->out_loopback == b->out_loopback && a->to_local == b->to_local &&
           a->from_foreign == b->from_foreign && a->has_owner == b->has_owner &&
           a->owner == b->owner && a->verdict == b->verdict && a->to_port == b->to_port &&
           a->from_socket == b->from_socket &&
           a->direction == b->direction; /* what HOOK_EGRESS alone has is compared as text */
}

void list_append_redirected(const struct config *config, struct rule_list *list,
                            const struct rule *like)
{
    struct port_set ports;
    port_set_redirected(config, &ports);
    list_append_for_ports(list, like, &ports);
}
