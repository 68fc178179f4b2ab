#include "common/kernel/canary.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

const char *canary_name(int family)
{
    return family == AF_INET ? "127.0.0.2:9" : "[::1]:9";
}

socklen_t canary_address(int family, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof(*address));
    if (family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)address;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(CANARY_PORT);
        inet_pton(AF_INET, CANARY_ADDRESS_V4, &v4->sin_addr);
        return sizeof(*v4);
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(CANARY_PORT);
    inet_pton(AF_INET6, CANARY_ADDRESS_V6, &v6->sin6_addr);
    return sizeof(*v6);
}

int canary_connect(int family, int type)
{
    struct sockaddr_storage canary;
    socklen_t size = canary_address(family, &canary);
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&canary, size) == 0 || errno == EINPROGRESS)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static bool is_canary_v4(int accepted)
{
    struct sockaddr_storage wanted;
    struct sockaddr_in original = {0};
    socklen_t size = sizeof(original);
    canary_address(AF_INET, &wanted);
    const struct sockaddr_in *canary = (const struct sockaddr_in *)&wanted;
    return getsockopt(accepted, SOL_IP, SO_ORIGINAL_DST, &original, &size) == 0 &&
           original.sin_port == canary->sin_port &&
           original.sin_addr.s_addr == canary->sin_addr.s_addr;
}

static bool is_canary_v6(int accepted)
{
    struct sockaddr_storage wanted;
    struct sockaddr_in6 original = {0};
    socklen_t size = sizeof(original);
    canary_address(AF_INET6, &wanted);
    const struct sockaddr_in6 *canary = (const struct sockaddr_in6 *)&wanted;
    return getsockopt(accepted, SOL_IPV6, IP6T_SO_ORIGINAL_DST, &original, &size) == 0 &&
           original.sin6_port == canary->sin6_port &&
           memcmp(&original.sin6_addr, &canary->sin6_addr, sizeof(original.sin6_addr)) == 0;
}

bool canary_was_destination(int accepted, int family)
{
    return family == AF_INET ? is_canary_v4(accepted) : is_canary_v6(accepted);
}

int canary_prove_guard(int family, struct error *error)
{
    int fd = canary_connect(family, SOCK_DGRAM);
    ssize_t sent = fd >= 0 ? send(fd, "", 1, MSG_NOSIGNAL) : -1;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (sent < 0 && reason == EPERM)
        return 0;
    return error_set(error, EX_UNAVAILABLE, "a datagram to the canary %s: %s", canary_name(family),
                     sent < 0 ? strerror(reason) : "let through");
}
