#include "healthd/runner/own_listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include "healthd/runner/spawn.h"

int own_listener_find(const struct own_listener *own, int family, uint32_t known,
                      struct listener *found, struct error *error)
{
    const char *address = family == AF_INET ? "127.0.0.1" : "::1";
    int there = listener_find(own->diagnosis, family, own->port, found, error);
    if (there < 0)
        return -1;
    if (there == 0)
        return error_set(error, 1, "nobody listens on port %u of %s", own->port, address);
    if (found->inode == known)
        return 0;
    if (found->uid == geteuid() && spawn_has_socket(own->pid, found->inode))
        return 0;
    return error_set(error, 1, "port %u of %s is held by another process, of uid %u", own->port,
                     address, found->uid);
}
