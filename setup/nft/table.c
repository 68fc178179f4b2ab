#include "setup/nft/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <unistd.h>

#include "common/kernel/netlink.h"
#include "setup/nft/text.h"

/* NFT_MSG_GETTABLE with the name (linux/netfilter/nf_tables.h). */
struct request {
    struct nlmsghdr header;
    struct nfgenmsg message;
    struct nlattr attribute;
    _Alignas(NLA_ALIGNTO) char name[sizeof(NFT_TABLE_NAME)];
};

int nft_table_is_there(int family)
{
    struct request request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE},
        .message = {.nfgen_family = (unsigned char)family, .version = NFNETLINK_V0},
        .attribute = {.nla_len = sizeof(struct nlattr) + sizeof(NFT_TABLE_NAME),
                      .nla_type = NFTA_TABLE_NAME},
        .name = NFT_TABLE_NAME,
    };
    struct error ignored;
    int socket = netlink_open(NETLINK_NETFILTER, &ignored);
    if (socket < 0)
        return -1;
    int there = netlink_ask(socket, &request.header) == 0 ? 1 : errno == ENOENT ? 0 : -1;
    close(socket);
    return there;
}
