#ifndef HEALTHD_HTTP_WATCH_H
#define HEALTHD_HTTP_WATCH_H

#include <stdint.h>
#include <sys/epoll.h>

/* Makes epoll report data when fd has input or is at its end. 0, or -1 with errno. */
static inline int watch(int epoll, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

#endif
