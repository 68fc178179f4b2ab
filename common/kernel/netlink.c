#include "common/kernel/netlink.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

int netlink_open(int protocol, struct error *error)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return error_set(error, EX_UNAVAILABLE, "netlink socket: %s", strerror(errno));
    return fd;
}

static int fail(int reason, struct error *error)
{
    error_set(error, EX_UNAVAILABLE, "netlink: %s", strerror(reason));
    errno = reason;
    return -1;
}

/* Visits what was received. 1 at the end of the list, 0 before it, -1 with error. */
static int visit_all(char *buffer, size_t size, uint32_t sequence, netlink_visit *visit,
                     void *context, struct error *error)
{
    unsigned int left = (unsigned int)size;
    struct nlmsghdr *message = (struct nlmsghdr *)(void *)buffer;
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_seq != sequence)
            continue; /* left over from a list that ended in an error */
        if (message->nlmsg_type == NLMSG_DONE)
            return 1;
        if (message->nlmsg_type == NLMSG_ERROR)
            return fail(-((const struct nlmsgerr *)NLMSG_DATA(message))->error, error);
        visit(context, message);
    }
    return 0;
}

int netlink_dump(int socket, struct nlmsghdr *request, netlink_visit *visit, void *context,
                 struct error *error)
{
    static uint32_t sequence;
    _Alignas(struct nlmsghdr) static char buffer[32 * 1024]; /* NLMSG_GOODSIZE and its like */
    int end = 0;
    request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = ++sequence;
    if (send(socket, request, request->nlmsg_len, MSG_NOSIGNAL) < 0)
        return fail(errno, error);
    while (end == 0) {
        ssize_t size = recv(socket, buffer, sizeof(buffer), 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return fail(errno, error);
        end = visit_all(buffer, (size_t)size, request->nlmsg_seq, visit, context, error);
    }
    return end > 0 ? 0 : -1;
}

int netlink_ask(int socket, struct nlmsghdr *request)
{
    _Alignas(struct nlmsghdr) char buffer[4096];
    struct nlmsghdr *answer = (struct nlmsghdr *)(void *)buffer;
    request->nlmsg_flags |= NLM_F_REQUEST;
    if (sendto(socket, request, request->nlmsg_len, 0, NULL, 0) < 0)
        return -1;
    ssize_t size = recvfrom(socket, buffer, sizeof(buffer), 0, NULL, NULL);
    if (size < 0)
        return -1;
    if (!NLMSG_OK(answer, (size_t)size)) {
        errno = EBADMSG;
        return -1;
    }
    if (answer->nlmsg_type != NLMSG_ERROR)
        return 0;
    errno = -((const struct nlmsgerr *)NLMSG_DATA(answer))->error; /* 0: it is an acknowledgement */
    return errno == 0 ? 0 : -1;
}
