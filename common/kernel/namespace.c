#include "common/kernel/namespace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* asm-generic/socket.h, Linux 5.14 */
#endif

static void read_network_namespace_id(char id[static NAMESPACE_ID_SIZE])
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    struct stat st;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0)
        snprintf(id, NAMESPACE_ID_SIZE, "cookie-%" PRIu64, cookie);
    else if (stat("/proc/self/ns/net", &st) == 0)
        snprintf(id, NAMESPACE_ID_SIZE, "inode-%ju", (uintmax_t)st.st_ino);
    else
        strlcpy(id, "unknown", NAMESPACE_ID_SIZE);
    if (fd >= 0)
        close(fd);
}

static void read_boot_id(char id[static NAMESPACE_ID_SIZE])
{
    strlcpy(id, "-", NAMESPACE_ID_SIZE);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, id, NAMESPACE_ID_SIZE - 1);
    close(fd);
    if (length <= 0) {
        strlcpy(id, "-", NAMESPACE_ID_SIZE);
        return;
    }
    id[length] = '\0';
    id[strcspn(id, "\n")] = '\0';
}

void network_namespace_id(char id[static NAMESPACE_ID_SIZE])
{
    static char known[NAMESPACE_ID_SIZE];
    if (known[0] == '\0')
        read_network_namespace_id(known);
    memcpy(id, known, NAMESPACE_ID_SIZE);
}

void boot_id(char id[static NAMESPACE_ID_SIZE])
{
    static char known[NAMESPACE_ID_SIZE];
    if (known[0] == '\0')
        read_boot_id(known);
    memcpy(id, known, NAMESPACE_ID_SIZE);
}
