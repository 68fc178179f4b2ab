#include "healthd/signals.h"

#include <signal.h>
#include <sys/signalfd.h>

static sigset_t wanted_signals(void)
{
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGCHLD);
    return wanted;
}

void signals_block(void)
{
    const sigset_t wanted = wanted_signals();
    sigprocmask(SIG_SETMASK, &wanted, NULL);
}

int signals_open(void)
{
    const sigset_t wanted = wanted_signals();
    signals_block();
    return signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
}
