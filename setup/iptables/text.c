#include "setup/iptables/text.h"

#include <arpa/inet.h>

#include "setup/iptables/uid_map.h"

static const struct {
    const char *name, *chain;
} hooks[] = {
    [HOOK_OUTPUT] = {"OUTPUT", "OPENSANDBOX_EGRESS"},
    [HOOK_INPUT] = {"INPUT", "OPENSANDBOX_EGRESS_INPUT"},
    [HOOK_FORWARD] = {"FORWARD", "OPENSANDBOX_EGRESS_FORWARD"},
};

const char *iptables_chain(const struct rule_list *list)
{
    return hooks[list->hook].chain;
}

const char *iptables_hook(const struct rule_list *list)
{
    return hooks[list->hook].name;
}

static void print_start(FILE *out, const struct rule_list *list)
{
    fprintf(out, "%s -t %s ", list->family == AF_INET ? "iptables" : "ip6tables",
            table_name(list->table));
}

static void print_match(FILE *out, int family, const struct rule *rule)
{
    char address[INET6_ADDRSTRLEN];
    const struct cidr *to = &rule->destination;
    if (rule->has_destination)
        fprintf(out, " -d %s/%u", inet_ntop(to->family, &to->address, address, sizeof(address)),
                to->prefix);
    if (rule->in_loopback)
        fputs(" -i lo", out);
    if (rule->out_loopback)
        fputs(" -o lo", out);
    if (rule->protocol != 0)
        fprintf(out, " -p %s", rule->protocol == IPPROTO_TCP ? "tcp" : "udp");
    if (rule->to_local)
        fputs(" -m addrtype --dst-type LOCAL", out);
    if (rule->from_foreign)
        fprintf(out, " -m addrtype ! --src-type LOCAL%s", family == AF_INET ? ",BROADCAST" : "");
    if (rule->segment != SEGMENT_ANY)
        fprintf(out, " -m tcp --tcp-flags SYN,RST,ACK SYN%s",
                rule->segment == SEGMENT_SYN_ACK ? ",ACK" : "");
    for (int i = 0; i < rule->range_count; i++) {
        const struct port_range *range = &rule->ranges[i];
        fprintf(out, "%s%u", i == 0 ? " -m multiport --dports " : ",", range->first);
        if (range->last > range->first)
            fprintf(out, ":%u", range->last);
    }
    if (rule->has_owner)
        fprintf(out, " -m owner --uid-owner %u", rule->owner);
    if (rule->from_socket)
        fprintf(out, " -m owner --uid-owner 0-%u", uid_map_last());
    static const char *const directions[] = {
        [DIRECTION_ANY] = "",
        [DIRECTION_ORIGINAL] = " -m conntrack --ctdir ORIGINAL",
        [DIRECTION_REPLY] = " -m conntrack --ctdir REPLY",
        [DIRECTION_NONE] = " -m conntrack --ctstate INVALID,UNTRACKED",
    };
    fputs(directions[rule->direction], out);
}

/* As iptables-save writes it. */
static void print_rule(FILE *out, const struct rule_list *list, const struct rule *rule)
{
    fprintf(out, "-A %s", iptables_chain(list));
    print_match(out, list->family, rule);
    switch (rule->verdict) {
    case VERDICT_RETURN:
        fputs(" -j RETURN\n", out);
        break;
    case VERDICT_REDIRECT:
        fprintf(out, " -j REDIRECT --to-ports %u\n", rule->to_port);
        break;
    case VERDICT_PORT_UNREACHABLE:
        fprintf(out, " -j REJECT --reject-with %s\n",
                list->family == AF_INET ? "icmp-port-unreachable" : "icmp6-port-unreachable");
        break;
    case VERDICT_DROP:
        fputs(" -j DROP\n", out);
        break;
    case VERDICT_TCP_RESET:
        fputs(" -j REJECT --reject-with tcp-reset\n", out);
        break;
    }
}

void iptables_print_row(FILE *out, const struct rule_list *list, const struct rule *rule)
{
    print_start(out, list);
    print_rule(out, list, rule);
}

void iptables_print_unknown(FILE *out, const struct rule_list *list, const char *target)
{
    print_start(out, list);
    fprintf(out, "-A %s (a rule of another form) -j %s\n", iptables_chain(list), target);
}

void iptables_print_jump(FILE *out, const struct rule_list *list, int position, bool plain)
{
    print_start(out, list);
    fprintf(out, "-I %s %d%s -j %s\n", iptables_hook(list), position,
            plain ? "" : " (with a condition)", iptables_chain(list));
}

void iptables_print_restore(FILE *out, const struct rule_list *list)
{
    if (list->count == 0)
        return;
    fprintf(out, "*%s\n:%s - [0:0]\n-I %s 1 -j %s\n", table_name(list->table), iptables_chain(list),
            iptables_hook(list), iptables_chain(list));
    for (size_t i = 0; i < list->count; i++)
        print_rule(out, list, &list->rules[i]);
    fputs("COMMIT\n", out);
}
