#include "setup/nft/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "setup/nft/text.h"

/* NFT_MSG_GETTABLE with the name (linux/netfilter/nf_tables.h). */
struct request {
    struct nlmsghdr header;
    struct nfgenmsg message;
    struct nlattr attribute;
    _Alignas(NLA_ALIGNTO) char name[sizeof(NFT_TABLE_NAME)];
};

static int ask(int fd, int family)
{
    struct request request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
                   .nlmsg_flags = NLM_F_REQUEST},
        .message = {.nfgen_family = (unsigned char)family, .version = NFNETLINK_V0},
        .attribute = {.nla_len = sizeof(struct nlattr) + sizeof(NFT_TABLE_NAME),
                      .nla_type = NFTA_TABLE_NAME},
        .name = NFT_TABLE_NAME,
    };
    _Alignas(struct nlmsghdr) char buffer[4096];
    struct nlmsghdr *answer = (struct nlmsghdr *)(void *)buffer;
    if (sendto(fd, &request, sizeof(request), 0, NULL, 0) < 0)
        return -1;
    ssize_t size = recvfrom(fd, buffer, sizeof(buffer), 0, NULL, NULL);
    if (size < 0 || !NLMSG_OK(answer, (size_t)size))
        return -1;
    if (answer->nlmsg_type != NLMSG_ERROR)
        return 1;
    const struct nlmsgerr *reply = NLMSG_DATA(answer);
    return reply->error == -ENOENT ? 0 : -1;
}

int nft_table_is_there(int family)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd < 0)
        return -1;
    int there = ask(fd, family);
    close(fd);
    return there;
}
