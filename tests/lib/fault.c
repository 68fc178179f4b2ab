/*
 * Preloaded into setup (tests/lib/fault.sh compiles it): system calls that talk to netfilter
 * fail, as the environment says.
 *
 *   FAULT=CALL:N:WHAT      the N-th call of CALL fails with errno WHAT (EPERM), without having
 *                          reached the kernel; "N+": from the N-th on. WHAT may also be
 *                          after-EPERM (the kernel does it, and the caller is told EPERM),
 *                          kill-before or kill-after (SIGKILL). CALL is one of socket (internet
 *                          and netlink only), setsockopt and getsockopt (netfilter's options
 *                          only), sendmsg, sendto, recvmsg, recvfrom. Several are separated by
 *                          a comma.
 *   FAULT_LOG=FILE         a line there for each call that failed for that: "CALL N OBJECT"
 *   FAULT_NO_LEGACY=ERRNO  a kernel without the legacy tables: ENOPROTOOPT without ip_tables,
 *                          ENOENT without the tables
 *   FAULT_NO_TABLE=6:nat   one table is missing (4: or 6:)
 *   FAULT_NO_EXTENSION=X   a match or target is missing
 *   FAULT_NO_IPV6=1        no sockets of IPv6
 *   FAULT_NO_NETLINK=ERRNO no netlink to netfilter at all
 *   FAULT_NO_EXPRESSION=X  an expression of nftables is missing
 *   FAULT_NO_EGRESS=1      no hook for what leaves by a device
 *   FAULT_NFT_WORDS=1      see fault_words.c
 *   FAULT_NO_NFTABLES=1    netlink to netfilter, but nobody there who knows nftables
 */
#include <dlfcn.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "fault_plan.h"

/* <linux/netfilter.h>, which does not go with <netinet/in.h> */
enum { FAMILY_NETDEV = 5, NETDEV_EGRESS = 1 };
/* <linux/netfilter_ipv4/ip_tables.h>, the same in both families but for the last two */
enum { SET_REPLACE = 64, GET_INFO = 64, GET_ENTRIES = 65, ORIGINAL_DST = 80 };
enum { TABLE_NAME = 32, EXTENSION_NAME = 29, NO_SUBSYSTEM = NFNL_SUBSYS_COUNT };

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (function == NULL)
        abort();
    return function;
}

static bool is_netfilter_option(int level, int option)
{
    if (level == SOL_IP)
        return (option >= 64 && option <= 67) || option == ORIGINAL_DST;
    /* 66 and 67 are other options in IPv6 */
    return level == SOL_IPV6 &&
           (option == 64 || option == 65 || option == 68 || option == 69 || option == ORIGINAL_DST);
}

/* The table that an option is about, or nothing. */
static const char *table_of(int option, const void *value, socklen_t length, bool set)
{
    bool named = set || option == GET_INFO || option == GET_ENTRIES;

    return named && length >= TABLE_NAME ? value : "";
}

/* Names are padded to 29 bytes with zeros, in an option as well as in a rule. */
static bool needs_extension(const char *name, const void *value, size_t length)
{
    char padded[EXTENSION_NAME] = {0};

    snprintf(padded, sizeof(padded), "%s", name);
    return memmem(value, length, padded, strlen(name) + 1) != NULL;
}

/* What is missing from this kernel? 0, or the errno that says so. */
static const char *missing(int level, int option, const void *value, socklen_t length, bool set)
{
    const char *no_table = setting("FAULT_NO_TABLE"), *extension = setting("FAULT_NO_EXTENSION");
    bool revision = !set && option >= 66;

    if (option == ORIGINAL_DST)
        return NULL;
    if (setting("FAULT_NO_LEGACY") != NULL)
        return setting("FAULT_NO_LEGACY");
    if (no_table != NULL && no_table[0] == (level == SOL_IP ? '4' : '6') &&
        strcmp(table_of(option, value, length, set), no_table + 2) == 0)
        return "ENOENT";
    if (extension != NULL && (revision || (set && option == SET_REPLACE)) &&
        needs_extension(extension, value, length))
        return "ENOENT";
    return NULL;
}

static const char *describe(int level, int option, const void *value, socklen_t length, bool set)
{
    static char text[80];
    const char *what = option == ORIGINAL_DST  ? "original destination"
                       : set                   ? (option == SET_REPLACE ? "replace" : "counters")
                       : option == GET_INFO    ? "info"
                       : option == GET_ENTRIES ? "entries"
                                               : "revision";

    snprintf(text, sizeof(text), "%s %s %.32s", level == SOL_IP ? "ipv4" : "ipv6", what,
             table_of(option, value, length, set));
    return text;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    if (!is_netfilter_option(level, option))
        return REAL(setsockopt)(fd, level, option, value, length);
    struct fault fault = fault_of(CALL_SETSOCKOPT, describe(level, option, value, length, true));
    if (fault.outcome == REFUSED)
        return -1;
    const char *lack = missing(level, option, value, length, true);
    if (lack != NULL)
        return refuse(lack);
    return (int)finish(fault, REAL(setsockopt)(fd, level, option, value, length));
}

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict length)
{
    if (!is_netfilter_option(level, option))
        return REAL(getsockopt)(fd, level, option, value, length);
    struct fault fault = fault_of(CALL_GETSOCKOPT, describe(level, option, value, *length, false));
    if (fault.outcome == REFUSED)
        return -1;
    const char *lack = missing(level, option, value, *length, false);
    if (lack != NULL)
        return refuse(lack);
    return (int)finish(fault, REAL(getsockopt)(fd, level, option, value, length));
}

int socket(int domain, int type, int protocol)
{
    bool netfilter = domain == AF_NETLINK && protocol == NETLINK_NETFILTER;
    char text[40];

    if (domain != AF_INET && domain != AF_INET6 && domain != AF_NETLINK)
        return REAL(socket)(domain, type, protocol);
    snprintf(text, sizeof(text), "%s type %d protocol %d",
             domain == AF_INET    ? "ipv4"
             : domain == AF_INET6 ? "ipv6"
                                  : "netlink",
             type & 0xf, protocol);
    struct fault fault = fault_of(CALL_SOCKET, text);
    if (fault.outcome == REFUSED)
        return -1;
    if (domain == AF_INET6 && setting("FAULT_NO_IPV6") != NULL)
        return refuse("EAFNOSUPPORT");
    if (netfilter && setting("FAULT_NO_NETLINK") != NULL)
        return refuse(setting("FAULT_NO_NETLINK"));
    return (int)finish(fault, REAL(socket)(domain, type, protocol));
}

/*
 * Messages for nftables go to a subsystem that no kernel has, so that the answer is the
 * kernel's own for a kernel without nftables. Lengths are those that libmnl made.
 */
static void readdress(void *data, size_t length)
{
    char *at = data;

    if (setting("FAULT_NO_NFTABLES") == NULL)
        return;
    for (struct nlmsghdr header; length >= sizeof(header);) {
        size_t step;

        memcpy(&header, at, sizeof(header));
        if (header.nlmsg_type == NFNL_MSG_BATCH_BEGIN || header.nlmsg_type == NFNL_MSG_BATCH_END) {
            struct nfgenmsg batch;

            memcpy(&batch, at + NLMSG_HDRLEN, sizeof(batch));
            batch.res_id = htons(NO_SUBSYSTEM);
            memcpy(at + NLMSG_HDRLEN, &batch, sizeof(batch));
        } else if (NFNL_SUBSYS_ID(header.nlmsg_type) == NFNL_SUBSYS_NFTABLES) {
            header.nlmsg_type = (uint16_t)(NO_SUBSYSTEM << 8 | NFNL_MSG_TYPE(header.nlmsg_type));
            memcpy(at, &header, sizeof(header));
        }
        step = NLMSG_ALIGN(header.nlmsg_len);
        if (step == 0 || step >= length)
            return;
        at += step;
        length -= step;
    }
}

/* An expression of that name becomes one that no kernel has: its attribute has the length, the type
 * NFTA_EXPR_NAME and the name. */
static void rename_expression(void *data, size_t length)
{
    const char *name = setting("FAULT_NO_EXPRESSION");
    struct {
        struct nlattr header;
        char name[16];
    } attribute = {.header = {.nla_type = NFTA_EXPR_NAME}};

    if (name == NULL)
        return;
    snprintf(attribute.name, sizeof(attribute.name), "%s", name);
    attribute.header.nla_len = (uint16_t)(NLA_HDRLEN + strlen(attribute.name) + 1);
    char *end = (char *)data + length;
    for (char *at = data; (at = memmem(at, (size_t)(end - at), &attribute,
                                       attribute.header.nla_len)) != NULL;)
        at[NLA_HDRLEN] = '?';
}

/* The hook of the chains of a device becomes one that no kernel has: its attribute has the length,
 * the type NFTA_HOOK_HOOKNUM and the number. */
static void renumber_hook(void *data, size_t length)
{
    static const struct {
        struct nlattr header;
        uint32_t number;
    } egress = {.header = {.nla_len = 8, .nla_type = NFTA_HOOK_HOOKNUM},
                .number = __builtin_bswap32(NETDEV_EGRESS)};
    char *at = data;

    if (setting("FAULT_NO_EGRESS") == NULL)
        return;
    for (struct nlmsghdr header; length >= sizeof(header);) {
        memcpy(&header, at, sizeof(header));
        size_t step = NLMSG_ALIGN(header.nlmsg_len);
        bool is_chain = header.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN);
        if (step == 0 || step > length)
            return;
        char *hook = is_chain && (unsigned char)at[NLMSG_HDRLEN] == FAMILY_NETDEV
                         ? memmem(at, step, &egress, sizeof(egress))
                         : NULL;
        if (hook != NULL)
            hook[sizeof(egress) - 1] = 9;
        at += step;
        length -= step;
    }
}

static bool is_netlink(int fd)
{
    int domain = 0;
    socklen_t length = sizeof(domain);

    return REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
           domain == AF_NETLINK;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (!is_netlink(fd))
        return REAL(sendmsg)(fd, message, flags);
    struct fault fault = fault_of(CALL_SENDMSG, "netlink");
    if (fault.outcome == REFUSED)
        return -1;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        readdress(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        rename_expression(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        renumber_hook(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    }
    return finish(fault, REAL(sendmsg)(fd, message, flags));
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *address,
               socklen_t address_length)
{
    char copy[65536];

    if (!is_netlink(fd))
        return REAL(sendto)(fd, data, length, flags, address, address_length);
    struct fault fault = fault_of(CALL_SENDTO, "netlink");
    if (fault.outcome == REFUSED)
        return -1;
    if (length <= sizeof(copy)) {
        memcpy(copy, data, length);
        readdress(copy, length);
        data = copy;
    }
    return finish(fault, REAL(sendto)(fd, data, length, flags, address, address_length));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (!is_netlink(fd))
        return REAL(recvmsg)(fd, message, flags);
    struct fault fault = fault_of(CALL_RECVMSG, "netlink");
    if (fault.outcome == REFUSED)
        return -1;
    return finish(fault, REAL(recvmsg)(fd, message, flags));
}

ssize_t recvfrom(int fd, void *restrict data, size_t length, int flags,
                 struct sockaddr *restrict address, socklen_t *restrict address_length)
{
    if (!is_netlink(fd))
        return REAL(recvfrom)(fd, data, length, flags, address, address_length);
    struct fault fault = fault_of(CALL_RECVFROM, "netlink");
    if (fault.outcome == REFUSED)
        return -1;
    return finish(fault, REAL(recvfrom)(fd, data, length, flags, address, address_length));
}
