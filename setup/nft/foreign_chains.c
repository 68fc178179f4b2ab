#include "setup/nft/foreign_chains.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/characters.h"
#include "common/kernel/netlink.h"
#include "setup/nft/text.h"

struct search {
    int priority;
    char *text;
    size_t size;
};

/* A chain as NFT_MSG_NEWCHAIN describes it (linux/netfilter/nf_tables.h). */
struct chain {
    const char *table, *name, *type;
    int hook, priority;
};

static int read_number(struct rtattr *attribute)
{
    uint32_t number;
    memcpy(&number, RTA_DATA(attribute), sizeof(number));
    return (int)ntohl(number);
}

static void read_hook(struct rtattr *hook, struct chain *chain)
{
    unsigned int left = (unsigned int)RTA_PAYLOAD(hook);
    for (struct rtattr *part = RTA_DATA(hook); RTA_OK(part, left); part = RTA_NEXT(part, left)) {
        if ((part->rta_type & NLA_TYPE_MASK) == NFTA_HOOK_HOOKNUM)
            chain->hook = read_number(part);
        if ((part->rta_type & NLA_TYPE_MASK) == NFTA_HOOK_PRIORITY)
            chain->priority = read_number(part);
    }
}

static void read_chain(struct nlmsghdr *message, struct chain *chain)
{
    unsigned int left = (unsigned int)NLMSG_PAYLOAD(message, sizeof(struct nfgenmsg));
    char *first = (char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
    struct rtattr *attribute = (struct rtattr *)(void *)first;
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
        switch (attribute->rta_type & NLA_TYPE_MASK) {
        case NFTA_CHAIN_TABLE:
            chain->table = RTA_DATA(attribute);
            break;
        case NFTA_CHAIN_NAME:
            chain->name = RTA_DATA(attribute);
            break;
        case NFTA_CHAIN_TYPE:
            chain->type = RTA_DATA(attribute);
            break;
        case NFTA_CHAIN_HOOK:
            read_hook(attribute, chain);
            break;
        default:
            break;
        }
}

static const char *family_name(int family)
{
    switch (family) {
    case NFPROTO_IPV4:
        return "ip";
    case NFPROTO_IPV6:
        return "ip6";
    case NFPROTO_INET:
        return "inet";
    default:
        return NULL; /* its hooks have other numbers */
    }
}

static void consider(void *context, struct nlmsghdr *message)
{
    const struct search *search = context;
    const struct nfgenmsg *header = NLMSG_DATA(message);
    const char *family = family_name(header->nfgen_family);
    struct chain chain = {.hook = -1};
    read_chain(message, &chain);
    if (family == NULL || chain.table == NULL || chain.name == NULL || chain.type == NULL ||
        strcmp(chain.type, "nat") != 0 || chain.hook != NF_INET_LOCAL_OUT ||
        chain.priority > search->priority || strcmp(chain.table, NFT_TABLE_NAME) == 0)
        return;
    size_t used = strlen(search->text);
    snprintf(search->text + used, search->size - used, "%s%s %s %s (priority %d)",
             used > 0 ? ", " : "", family, chain.table, chain.name, chain.priority);
}

void foreign_nat_chains(int priority, char *text, size_t size)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg message;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN},
        .message = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0},
    };
    struct search search = {priority, text, size};
    struct error ignored;
    text[0] = '\0';
    int socket = netlink_open(NETLINK_NETFILTER, &ignored);
    if (socket < 0)
        return;
    netlink_dump(socket, &request.header, consider, &search, &ignored);
    close(socket);
    make_printable(text);
}
