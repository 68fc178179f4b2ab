#include "setup/nft/text.h"

#include <arpa/inet.h>

static const char *family_name(int family)
{
    return family == AF_INET ? "ipv4" : "ipv6";
}

static void print_match(const struct rule *rule, FILE *out)
{
    char address[INET6_ADDRSTRLEN];
    const struct cidr *to = &rule->destination;
    if (rule->has_destination) {
        int whole = to->family == AF_INET ? 32 : 128;
        fprintf(out, "%s daddr %s", to->family == AF_INET ? "ip" : "ip6",
                inet_ntop(to->family, &to->address, address, sizeof(address)));
        if (to->prefix < whole)
            fprintf(out, "/%u", to->prefix);
        fputc(' ', out);
    }
    if (rule->out_loopback)
        fputs("oifname \"lo\" ", out);
    if (rule->to_local)
        fputs("fib daddr type local ", out);
    if (rule->from_foreign)
        fputs("fib saddr type != local ", out);
    if (rule->has_owner)
        fprintf(out, "meta skuid %u ", rule->owner);
    if (rule->segment != SEGMENT_ANY)
        fprintf(out, "tcp flags syn%s / fin,syn,rst,ack ",
                rule->segment == SEGMENT_SYN_ACK ? ",ack" : "");
    if (rule->port_count == 0)
        return;
    fprintf(out, "%s dport ", rule->protocol == IPPROTO_TCP ? "tcp" : "udp");
    if (rule->port_count == 1) {
        fprintf(out, "%u ", rule->ports[0]);
        return;
    }
    for (int i = 0; i < rule->port_count; i++)
        fprintf(out, "%s%u", i == 0 ? "{ " : ", ", rule->ports[i]);
    fputs(" } ", out);
}

/* As nft lists it: the default is left out, unless a match has fixed the family. */
static void print_port_unreachable(const struct rule *rule, FILE *out)
{
    if (rule->has_destination)
        fprintf(out, "reject with %s port-unreachable\n",
                rule->destination.family == AF_INET ? "icmp" : "icmpv6");
    else
        fputs("reject\n", out);
}

static void print_rule(const struct rule *rule, FILE *out)
{
    fputs("\t\t", out);
    print_match(rule, out);
    switch (rule->verdict) {
    case VERDICT_RETURN:
        fputs("return\n", out);
        break;
    case VERDICT_REDIRECT:
        fprintf(out, "redirect to :%u\n", rule->to_port);
        break;
    case VERDICT_PORT_UNREACHABLE:
        print_port_unreachable(rule, out);
        break;
    case VERDICT_DROP:
        fputs("drop\n", out);
        break;
    case VERDICT_TCP_RESET:
        fputs("reject with tcp reset\n", out);
        break;
    }
}

static void print_list(const struct rule_list *list, FILE *out)
{
    if (list->count == 0)
        return;
    fprintf(out, "\tchain %s_%s {\n", table_name(list->table), family_name(list->family));
    for (size_t i = 0; i < list->count; i++)
        print_rule(&list->rules[i], out);
    fputs("\t}\n\n", out);
}

/* Destination NAT has priority -100, filters have 0 (linux/netfilter_ipv4.h). False if no list
 * needs this chain. */
static bool print_base_chain(const struct ruleset *set, enum table table, FILE *out)
{
    bool begun = false;
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        const struct rule_list *list = &set->lists[i];
        const char *name = table_name(table);
        if (list->table != table || list->count == 0)
            continue;
        if (!begun)
            fprintf(out,
                    "\tchain %s_output {\n\t\ttype %s hook output priority %s; policy accept;\n",
                    name, name, table == TABLE_NAT ? "-100" : "filter");
        begun = true;
        fprintf(out, "\t\tmeta nfproto %s jump %s_%s\n", family_name(list->family), name,
                family_name(list->family));
    }
    if (begun)
        fputs("\t}\n", out);
    return begun;
}

void nft_print_table(const struct ruleset *set, FILE *out)
{
    if (rules_count(set) == 0)
        return;
    fputs("table " NFT_TABLE " {\n", out);
    for (size_t i = 0; i < LISTS_COUNT; i++)
        print_list(&set->lists[i], out);
    if (print_base_chain(set, TABLE_FILTER, out))
        fputc('\n', out);
    print_base_chain(set, TABLE_NAT, out);
    fputs("}\n", out);
}
