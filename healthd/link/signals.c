#include "healthd/link/signals.h"

#include <signal.h>
#include <sys/signalfd.h>

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static sigset_t wanted_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t wanted;
    sigemptyset(&wanted);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&wanted, numbers[i]);
    /* Under nohup(1) SIGHUP is ignored and must stay so: if it were blocked, it would be read
     * anyway. */
    if (is_ignored(SIGHUP))
        sigdelset(&wanted, SIGHUP);
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

bool signals_order_to_stop(uint32_t number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP;
}
