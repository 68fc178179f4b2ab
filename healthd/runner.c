#include "healthd/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/privileges.h"
#include "common/state.h"
#include "healthd/clock.h"
#include "healthd/mitmdump.h"
#include "healthd/report.h"
#include "healthd/signals.h"

struct runner {
    const struct config *config;
    int control;
    int signals;
    struct mitmdump mitmdump;
    struct report told; /* the last report that was sent and written */
    bool write_failed;  /* said once, not at every change */
};

static void write_state(struct runner *runner)
{
    struct state state = {0};
    struct error error;
    const struct report *report = &runner->mitmdump.report;
    state.mitm = report->state;
    state.mitm_pid = report->pid;
    state.mitm_restarts = report->restarts;
    strlcpy(state.mitm_error, report->error, sizeof(state.mitm_error));
    bool failed = state_write(runner->config->state_file, runner->config->user.uid, STATE_MITM,
                              &state, &error) != 0;
    if (failed && !runner->write_failed)
        log_warn("state file not written: %s", error.text);
    runner->write_failed = failed;
}

/* First to the responder, whom no full disk can keep from knowing. */
static void tell(struct runner *runner)
{
    const struct report *report = &runner->mitmdump.report;
    if (memcmp(report, &runner->told, sizeof(*report)) == 0)
        return;
    if (send(runner->control, report, sizeof(*report), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
        errno == EAGAIN)
        return; /* the next round says it */
    runner->told = *report;
    write_state(runner);
}

static void reap(struct runner *runner)
{
    siginfo_t info = {0};
    /* Looked at first: until it is reaped, its process group's number is nobody else's. What its
     * addons have started goes with it. */
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
        pid_t pid = info.si_pid;
        int status = 0;
        info.si_pid = 0;
        if (pid == runner->mitmdump.pid)
            kill(-pid, SIGKILL);
        if (waitpid(pid, &status, 0) != pid || pid != runner->mitmdump.pid)
            continue;
        mitmdump_ended(&runner->mitmdump, status);
        /* That it is down is said before it is up again. */
        tell(runner);
    }
}

static void take_signals(struct runner *runner)
{
    struct signalfd_siginfo info;
    while (read(runner->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(runner);
        else
            mitmdump_stop(&runner->mitmdump);
    }
}

static int timeout_ms(const struct mitmdump *mitmdump)
{
    if (mitmdump->deadline_ms == INT64_MAX)
        return -1;
    int64_t left = mitmdump->deadline_ms - clock_ms();
    return left < 0 ? 0 : (int)left;
}

static void loop(struct runner *runner)
{
    struct mitmdump *mitmdump = &runner->mitmdump;
    while (!mitmdump_is_gone(mitmdump)) {
        mitmdump_tick(mitmdump);
        tell(runner);
        struct pollfd ready[] = {
            {.fd = runner->signals, .events = POLLIN},
            {.fd = mitmdump->output.fd, .events = POLLIN},
            /* The responder never sends; its end is the order to stop, and is seen once. */
            {.fd = mitmdump->stopping ? -1 : runner->control, .events = POLLIN},
        };
        if (poll(ready, 3, timeout_ms(mitmdump)) < 0)
            continue;
        if (ready[1].revents != 0)
            output_read(&mitmdump->output);
        if (ready[0].revents != 0)
            take_signals(runner);
        if (ready[2].revents != 0)
            mitmdump_stop(mitmdump);
    }
    tell(runner);
}

static int become_mitmproxy_user(const struct config *config, pid_t parent, struct error *error)
{
    if (privileges_drop(config->user.uid, config->user.gid, error) != 0)
        return -1;
    /* After the drop: a change of the uid clears it. It reaches this process only where the
     * responder is the same user; else the end of the socket pair does. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0)
        return error_set(error, 1, "set the parent death signal: %s", strerror(errno));
    if (getppid() != parent)
        return error_set(error, 1, "the responder is gone");
    /* Last: a change of the uid sets it anew, too. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set(error, 1, "make this process undumpable: %s", strerror(errno));
    return 0;
}

int runner_run(const struct config *config, int control, pid_t parent)
{
    static struct runner runner;
    struct error error;
    log_set_program("runner");
    prctl(PR_SET_NAME, "healthd-runner", 0, 0, 0);
    runner.config = config;
    runner.control = control;
    runner.signals = signals_open();
    if (become_mitmproxy_user(config, parent, &error) != 0 ||
        mitmdump_init(&runner.mitmdump, config, &error) != 0) {
        log_error("%s", error.text);
        return error.status;
    }
    loop(&runner);
    return 0;
}
