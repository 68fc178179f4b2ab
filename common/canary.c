#include "common/canary.h"

#include <arpa/inet.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <sys/socket.h>

bool canary_is_original_destination(int accepted)
{
    struct sockaddr_in original = {0};
    socklen_t size = sizeof(original);
    if (getsockopt(accepted, SOL_IP, SO_ORIGINAL_DST, &original, &size) != 0)
        return false;
    return original.sin_family == AF_INET && original.sin_port == htons(CANARY_PORT) &&
           original.sin_addr.s_addr == inet_addr(CANARY_ADDRESS);
}
