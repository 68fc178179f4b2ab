#include "setup/answer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

bool answer_is_there(int pipe, pid_t child, int limit_ms)
{
    struct pollfd readable = {.fd = pipe, .events = POLLIN};
    int found;
    do
        found = poll(&readable, 1, limit_ms);
    while (found < 0 && errno == EINTR);
    if (found == 0)
        kill(child, SIGKILL);
    return found == 1;
}
