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
 *   FAULT_NO_NFTABLES=1    netlink to netfilter, but nobody there who knows nftables
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

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

static const struct {
    const char *name;
    int number;
} errors[] = {
    {"EPERM", EPERM},
    {"ENOENT", ENOENT},
    {"EINTR", EINTR},
    {"EIO", EIO},
    {"EAGAIN", EAGAIN},
    {"ENOMEM", ENOMEM},
    {"EACCES", EACCES},
    {"EBUSY", EBUSY},
    {"EINVAL", EINVAL},
    {"EMFILE", EMFILE},
    {"ENOPROTOOPT", ENOPROTOOPT},
    {"EPROTONOSUPPORT", EPROTONOSUPPORT},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EAFNOSUPPORT", EAFNOSUPPORT},
    {"ENOBUFS", ENOBUFS},
};

/* A fault with a name that nobody knows would be no fault: better no test at all. */
static int error_number(const char *name)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].number;
    fprintf(stderr, "fault: what is %s?\n", name);
    abort();
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

static int refuse(const char *error)
{
    errno = error_number(error);
    return -1;
}

enum call {
    CALL_SETSOCKOPT,
    CALL_GETSOCKOPT,
    CALL_SOCKET,
    CALL_SENDMSG,
    CALL_SENDTO,
    CALL_RECVMSG,
    CALL_RECVFROM,
    CALLS
};

/* setup works in several processes: calls are counted over all of them, and a kill is one of all. */
static struct {
    pid_t first;
    atomic_uint made[CALLS];
} *shared;

__attribute__((constructor)) static void share(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    shared->first = getpid();
}

static unsigned count(enum call call)
{
    return atomic_fetch_add(&shared->made[call], 1) + 1;
}

static void die(void)
{
    kill(shared->first, SIGKILL);
    raise(SIGKILL);
}

enum outcome { GO_ON, REFUSED, REFUSE_AFTER, KILL_AFTER };

/* What is to happen to the call: the errno in *error. */
static enum outcome outcome_of(const char *what, int *error)
{
    if (strcmp(what, "kill-before") == 0)
        die();
    if (strcmp(what, "kill-after") == 0)
        return KILL_AFTER;
    if (strncmp(what, "after-", 6) == 0) {
        *error = error_number(what + 6);
        return REFUSE_AFTER;
    }
    *error = error_number(what);
    return REFUSED;
}

static void note(const char *call, unsigned n, const char *object)
{
    const char *path = setting("FAULT_LOG");
    char line[160];
    int length, fd;

    if (path == NULL || (fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
        return;
    length = snprintf(line, sizeof line, "%s %u %s\n", call, n, object);
    if (write(fd, line, (size_t)length) < 0)
        abort();
    close(fd);
}

/* Does FAULT ask for something to happen at this call, the n-th of its kind? */
static enum outcome planned(const char *call, unsigned n, const char *object, int *error)
{
    const char *plan = setting("FAULT");
    char copy[256], *rest = copy, *item;

    snprintf(copy, sizeof copy, "%s", plan != NULL ? plan : "");
    while ((item = strsep(&rest, ",")) != NULL) {
        const char *name = strsep(&item, ":");
        const char *at = strsep(&item, ":");
        unsigned long first = at != NULL ? strtoul(at, NULL, 10) : 0;

        if (item == NULL || strcmp(name, call) != 0)
            continue;
        if (n == first || (n > first && at[strlen(at) - 1] == '+')) {
            note(call, n, object);
            return outcome_of(item, error);
        }
    }
    return GO_ON;
}

/* The end of a call with that outcome and that result. */
static ssize_t finish(enum outcome outcome, int error, ssize_t result)
{
    if (outcome == KILL_AFTER)
        die();
    if (outcome != REFUSE_AFTER)
        return result;
    errno = error;
    return -1;
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

    snprintf(padded, sizeof padded, "%s", name);
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

    snprintf(text, sizeof text, "%s %s %.32s", level == SOL_IP ? "ipv4" : "ipv6", what,
             table_of(option, value, length, set));
    return text;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    enum outcome outcome;
    const char *lack;
    int error = 0;

    if (!is_netfilter_option(level, option))
        return REAL(setsockopt)(fd, level, option, value, length);
    outcome = planned("setsockopt", count(CALL_SETSOCKOPT), describe(level, option, value, length, true), &error);
    if (outcome == REFUSED) {
        errno = error;
        return -1;
    }
    if ((lack = missing(level, option, value, length, true)) != NULL)
        return refuse(lack);
    return (int)finish(outcome, error, REAL(setsockopt)(fd, level, option, value, length));
}

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict length)
{
    enum outcome outcome;
    const char *lack;
    int error = 0;

    if (!is_netfilter_option(level, option))
        return REAL(getsockopt)(fd, level, option, value, length);
    outcome = planned("getsockopt", count(CALL_GETSOCKOPT), describe(level, option, value, *length, false), &error);
    if (outcome == REFUSED) {
        errno = error;
        return -1;
    }
    if ((lack = missing(level, option, value, *length, false)) != NULL)
        return refuse(lack);
    return (int)finish(outcome, error, REAL(getsockopt)(fd, level, option, value, length));
}

int socket(int domain, int type, int protocol)
{
    bool netfilter = domain == AF_NETLINK && protocol == NETLINK_NETFILTER;
    enum outcome outcome;
    char text[40];
    int error = 0;

    if (domain != AF_INET && domain != AF_INET6 && domain != AF_NETLINK)
        return REAL(socket)(domain, type, protocol);
    snprintf(text, sizeof text, "%s type %d protocol %d",
             domain == AF_INET    ? "ipv4"
             : domain == AF_INET6 ? "ipv6"
                                  : "netlink",
             type & 0xf, protocol);
    outcome = planned("socket", count(CALL_SOCKET), text, &error);
    if (outcome == REFUSED) {
        errno = error;
        return -1;
    }
    if (domain == AF_INET6 && setting("FAULT_NO_IPV6") != NULL)
        return refuse("EAFNOSUPPORT");
    if (netfilter && setting("FAULT_NO_NETLINK") != NULL)
        return refuse(setting("FAULT_NO_NETLINK"));
    return (int)finish(outcome, error, REAL(socket)(domain, type, protocol));
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
    for (struct nlmsghdr header; length >= sizeof header;) {
        size_t step;

        memcpy(&header, at, sizeof header);
        if (header.nlmsg_type == NFNL_MSG_BATCH_BEGIN || header.nlmsg_type == NFNL_MSG_BATCH_END) {
            struct nfgenmsg batch;

            memcpy(&batch, at + NLMSG_HDRLEN, sizeof batch);
            batch.res_id = htons(NO_SUBSYSTEM);
            memcpy(at + NLMSG_HDRLEN, &batch, sizeof batch);
        } else if (NFNL_SUBSYS_ID(header.nlmsg_type) == NFNL_SUBSYS_NFTABLES) {
            header.nlmsg_type = (uint16_t)(NO_SUBSYSTEM << 8 | NFNL_MSG_TYPE(header.nlmsg_type));
            memcpy(at, &header, sizeof header);
        }
        step = NLMSG_ALIGN(header.nlmsg_len);
        if (step == 0 || step >= length)
            return;
        at += step;
        length -= step;
    }
}

static bool is_netlink(int fd)
{
    int domain = 0;
    socklen_t length = sizeof domain;

    return REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
           domain == AF_NETLINK;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    enum outcome outcome;
    int error = 0;

    if (!is_netlink(fd))
        return REAL(sendmsg)(fd, message, flags);
    outcome = planned("sendmsg", count(CALL_SENDMSG), "netlink", &error);
    if (outcome == REFUSED) {
        errno = error;
        return -1;
    }
    for (size_t i = 0; i < message->msg_iovlen; i++)
        readdress(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    return finish(outcome, error, REAL(sendmsg)(fd, message, flags));
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *address,
               socklen_t address_length)
{
    char copy[65536];
    enum outcome outcome;
    int error = 0;

    if (!is_netlink(fd))
        return REAL(sendto)(fd, data, length, flags, address, address_length);
    outcome = planned("sendto", count(CALL_SENDTO), "netlink", &error);
    if (outcome == REFUSED) {
        errno = error;
        return -1;
    }
    if (length <= sizeof copy) {
        memcpy(copy, data, length);
        readdress(copy, length);
        data = copy;
    }
    return finish(outcome, error, REAL(sendto)(fd, data, length, flags, address, address_length));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    enum outcome outcome;
    int error = 0;

    if (!is_netlink(fd))
        return REAL(recvmsg)(fd, message, flags);
    outcome = planned("recvmsg", count(CALL_RECVMSG), "netlink", &error);
    if (outcome == REFUSED) {
        errno = error;
        return -1;
    }
    return finish(outcome, error, REAL(recvmsg)(fd, message, flags));
}

ssize_t recvfrom(int fd, void *restrict data, size_t length, int flags,
                 struct sockaddr *restrict address, socklen_t *restrict address_length)
{
    enum outcome outcome;
    int error = 0;

    if (!is_netlink(fd))
        return REAL(recvfrom)(fd, data, length, flags, address, address_length);
    outcome = planned("recvfrom", count(CALL_RECVFROM), "netlink", &error);
    if (outcome == REFUSED) {
        errno = error;
        return -1;
    }
    return finish(outcome, error, REAL(recvfrom)(fd, data, length, flags, address, address_length));
}
