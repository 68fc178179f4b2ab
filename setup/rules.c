#include "setup/rules.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/canary.h"

static struct rule *append(struct rule_list *list, enum verdict verdict)
{
    struct rule *rule = &list->rules[list->count++];
    memset(rule, 0, sizeof(*rule));
    rule->verdict = verdict;
    return rule;
}

static void match_destination(struct rule *rule, int family, const char *address, uint8_t prefix)
{
    rule->has_destination = true;
    rule->prefix = prefix;
    inet_pton(family, address, &rule->destination);
}

static void match_tcp(struct rule *rule, const uint16_t *ports, size_t count)
{
    rule->protocol = IPPROTO_TCP;
    rule->port_count = (uint8_t)count;
    memcpy(rule->ports, ports, count * sizeof(*ports));
}

/* Before every exemption: a canary that an exemption lets pass proves nothing. */
static void add_canary(const struct config *config, struct rule_list *list)
{
    static const uint16_t port = CANARY_PORT;
    struct rule *rule = append(list, VERDICT_REDIRECT);
    match_destination(rule, AF_INET, CANARY_ADDRESS, 32);
    match_tcp(rule, &port, 1);
    rule->to_port = config->http.port;
}

static void add_loopback(struct rule_list *list)
{
    append(list, VERDICT_RETURN)->out_loopback = true;
    match_destination(append(list, VERDICT_RETURN), AF_INET, "127.0.0.0", 8);
}

static void add_owner(struct rule_list *list, uid_t uid)
{
    struct rule *rule = append(list, VERDICT_RETURN);
    rule->has_owner = true;
    rule->owner = uid;
}

static void add_redirect(const struct config *config, struct rule_list *list)
{
    static const uint16_t ports[] = {80, 443};
    struct rule *rule = append(list, VERDICT_REDIRECT);
    match_tcp(rule, ports, sizeof(ports) / sizeof(ports[0]));
    rule->to_port = config->port;
}

void rules_build(const struct config *config, int family, struct rule_list *list)
{
    list->family = family;
    list->count = 0;
    add_canary(config, list);
    add_loopback(list);
    add_owner(list, config->user.uid);
    add_redirect(config, list);
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
    return a->protocol == b->protocol && a->port_count == b->port_count &&
           memcmp(a->ports, b->ports, sizeof(a->ports)) == 0 &&
           a->has_destination == b->has_destination && a->prefix == b->prefix &&
           memcmp(&a->destination, &b->destination, sizeof(a->destination)) == 0 &&
           a->out_loopback == b->out_loopback && a->has_owner == b->has_owner &&
           a->owner == b->owner && a->verdict == b->verdict && a->to_port == b->to_port;
}

void rule_print(FILE *out, int family, const struct rule *rule)
{
    char address[INET6_ADDRSTRLEN];
    fputs("-A " RULE_CHAIN, out);
    if (rule->has_destination)
        fprintf(out, " -d %s/%u", inet_ntop(family, &rule->destination, address, sizeof(address)),
                rule->prefix);
    if (rule->out_loopback)
        fputs(" -o lo", out);
    if (rule->protocol != 0)
        fprintf(out, " -p %s", rule->protocol == IPPROTO_TCP ? "tcp" : "udp");
    for (int i = 0; i < rule->port_count; i++)
        fprintf(out, "%s%u", i == 0 ? " -m multiport --dports " : ",", rule->ports[i]);
    if (rule->has_owner)
        fprintf(out, " -m owner --uid-owner %u", rule->owner);
    if (rule->verdict == VERDICT_REDIRECT)
        fprintf(out, " -j REDIRECT --to-ports %u\n", rule->to_port);
    else
        fputs(" -j RETURN\n", out);
}
