#include "setup/nft/text.h"

#include <arpa/inet.h>
#include <stdbool.h>

static const char *family_name(int family)
{
    return family == AF_INET ? "ipv4" : "ipv6";
}

/* Where a frame says what it holds (IEEE 802.3), beside what its sender has told the kernel. */
#define ETHER_TYPE "@ll,96,16"

static void print_misnamed(int family, FILE *out)
{
    static const struct {
        int family;
        const char *name, *type;
    } frames[] = {
        {AF_UNSPEC, "arp", "0x806"}, {AF_INET, "ip", "0x800"}, {AF_INET6, "ip6", "0x86dd"}};
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
        if (frames[i].family == family)
            fprintf(out, "meta protocol %s " ETHER_TYPE " != %s ", frames[i].name, frames[i].type);
}

static void print_frame(const struct rule *rule, FILE *out)
{
    if (rule->from_socket)
        fputs("meta skuid >= 0 ", out); /* whoever it is: only a socket has an owner */
    if (rule->in_loopback)
        fputs("iifname \"lo\" ", out);
    static const char *const directions[] = {
        [DIRECTION_ANY] = "",
        [DIRECTION_ORIGINAL] = "ct direction original ",
        [DIRECTION_REPLY] = "ct direction reply ",
        [DIRECTION_NONE] = "ct state invalid,untracked ",
    };
    fputs(directions[rule->direction], out);
    if (rule->frame == FRAME_NOT_ARP)
        fputs("meta protocol != arp ", out);
    if (rule->frame == FRAME_IPV6)
        fputs("meta protocol ip6 ", out);
    if (rule->frame == FRAME_MISNAMED)
        print_misnamed(rule->family, out);
    if (rule->part == PART_FRAGMENT)
        fputs(rule->family == AF_INET ? "ip frag-off & 16383 != 0 " : "exthdr frag exists ", out);
    else if (rule->part == PART_LATER_FRAGMENT)
        fputs(rule->family == AF_INET ? "ip frag-off & 8191 != 0 " : "frag frag-off != 0 ", out);
    else if (rule->family == AF_INET6 && rule->frame == FRAME_ANY)
        fputs("meta protocol ip6 ", out);
}

/* A match fails if what it looks at cannot be read. */
static void print_protocol(const struct rule *rule, FILE *out)
{
    const char *name = rule->protocol == IPPROTO_TCP ? "tcp" : "udp";
    if (rule->part == PART_READABLE && rule->protocol == 0)
        fputs("meta l4proto != 255 ", out); /* that number is reserved */
    else if (rule->part == PART_READABLE)
        fprintf(out, "%s dport != 0 ", name);
    else if (rule->protocol != 0 && rule->segment == SEGMENT_ANY)
        fprintf(out, "meta l4proto %s ", name);
}

static void print_match(const struct rule *rule, FILE *out)
{
    print_frame(rule, out);
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
        fputs("fib saddr type != local fib saddr type != broadcast ", out); /* as 0.0.0.0 is */
    if (rule->has_owner)
        fprintf(out, "meta skuid %u ", rule->owner);
    if (rule->segment != SEGMENT_ANY)
        fprintf(out, "tcp flags syn%s / syn,rst,ack ",
                rule->segment == SEGMENT_SYN_ACK ? ",ack" : "");
    if (rule->range_count == 0) {
        print_protocol(rule, out);
        return;
    }
    fprintf(out, "%s dport ", rule->protocol == IPPROTO_TCP ? "tcp" : "udp");
    for (int i = 0; i < rule->range_count; i++) {
        const struct port_range *range = &rule->ranges[i];
        fprintf(out, "%s%u", i > 0 ? ", " : rule->range_count > 1 ? "{ " : "", range->first);
        if (range->last > range->first)
            fprintf(out, "-%u", range->last);
    }
    fputs(rule->range_count > 1 ? " } " : " ", out);
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

/* The name of a list's chain, without the family. */
static const char *list_name(const struct rule_list *list)
{
    if (list->hook == HOOK_OUTPUT)
        return table_name(list->table);
    return list->hook == HOOK_INPUT ? "input" : "forward";
}

static void print_rules(const struct rule_list *list, FILE *out)
{
    for (size_t i = 0; i < list->count; i++)
        print_rule(&list->rules[i], out);
    fputs("\t}\n", out);
}

static void print_list(const struct rule_list *list, FILE *out)
{
    if (list->count == 0)
        return;
    fprintf(out, "\tchain %s_%s {\n", list_name(list), family_name(list->family));
    print_rules(list, out);
    fputc('\n', out);
}

/* The chains that the kernel calls. */
static const struct base_chain {
    const char *name;
    enum table table;
    enum hook hook;
    const char *declaration;
} base_chains[] = {
    {"filter_output", TABLE_FILTER, HOOK_OUTPUT, "type filter hook output priority filter"},
    {"filter_input", TABLE_FILTER, HOOK_INPUT, "type filter hook input priority filter"},
    {"filter_forward", TABLE_FILTER, HOOK_FORWARD, "type filter hook forward priority filter"},
    {"nat_output", TABLE_NAT, HOOK_OUTPUT, "type nat hook output priority " NFT_NAT_PRIORITY},
};

/* Nothing where there is nothing to lead to. *separator is what stands before the next one. */
static void print_base_chain(const struct ruleset *set, const struct base_chain *chain,
                             const char **separator, FILE *out)
{
    bool begun = false;
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        const struct rule_list *list = &set->lists[i];
        if (list->table != chain->table || list->hook != chain->hook || list->count == 0)
            continue;
        if (!begun)
            fprintf(out, "%s\tchain %s {\n\t\t%s; policy accept;\n", *separator, chain->name,
                    chain->declaration);
        begun = true;
        fprintf(out, "\t\tmeta nfproto %s jump %s_%s\n", family_name(list->family), list_name(list),
                family_name(list->family));
    }
    if (!begun)
        return;
    fputs("\t}\n", out);
    *separator = "\n";
}

static void print_hook(const struct device *device, const char *chain, const char *priority,
                       FILE *out)
{
    fprintf(out,
            "\n\tchain %s_%u {\n\t\ttype filter hook egress device \"%s\" priority %s; policy "
            "accept;\n\t\tjump %s\n\t}\n",
            chain, device->index, device->name, priority, chain);
}

/* A frame may lie in memory that its sender shares with the kernel (packet_mmap). There the kernel
 * does not find the header of IPv6 (ipv6_find_hdr reads what it has copied alone). It copies what
 * is written to, so an earlier chain writes there what is there; not for the proxy, whom the first
 * rule of the gate lets through. */
static void print_gate(const struct ruleset *set, FILE *out)
{
    fprintf(out,
            "table " NFT_GATE " {\n\tchain copy {\n"
            "\t\tmeta skuid != %u ip6 daddr set ip6 daddr\n\t}\n\n\tchain gate {\n",
            set->gate.rules[0].owner);
    print_rules(&set->gate, out);
    for (size_t i = 0; i < set->devices.count; i++) {
        print_hook(&set->devices.items[i], "copy", "filter - 10", out);
        print_hook(&set->devices.items[i], "gate", "filter", out);
    }
    fputs("}\n", out);
}

void nft_print_tables(const struct ruleset *set, FILE *out)
{
    if (rules_count(set) > 0) {
        fputs("table " NFT_TABLE " {\n", out);
        for (size_t i = 0; i < LISTS_COUNT; i++)
            print_list(&set->lists[i], out);
        const char *separator = "";
        for (size_t i = 0; i < sizeof(base_chains) / sizeof(base_chains[0]); i++)
            print_base_chain(set, &base_chains[i], &separator, out);
        fputs("}\n", out);
    }
    if (set->gate.count > 0)
        print_gate(set, out);
}
