#include "healthd/runner/runner.h"

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

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/process/privileges.h"
#include "common/state/state.h"
#include "healthd/link/report.h"
#include "healthd/link/signals.h"
#include "healthd/runner/mitmdump.h"

enum { KEEP_EVERY_MS = 1000, KEEP_LATEST_MS = 1200, RETRY_MS = 10 * 1000 };

struct runner {
    const struct config *config;
    int control;
    int signals;
    struct pulse *pulse;
    struct mitmdump mitmdump;
    struct report told;   /* the last report that was sent */
    struct state written; /* the half of the state file that was last written, or tried */
    int64_t kept_ms;      /* when the file was last looked at or written */
    bool write_failed;    /* logged once, not at every change */
};

/* Reports to the responder first: that works even if the disk is full. */
static void tell(struct runner *runner)
{
    const struct report *report = &runner->mitmdump.report;
    if (memcmp(report, &runner->told, sizeof(*report)) == 0)
        return;
    if (send(runner->control, report, sizeof(*report), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
        errno == EAGAIN)
        return; /* tried again in the next round */
    runner->told = *report;
}

static void fill_half(const struct report *report, struct state *state)
{
    memset(state, 0, sizeof(*state));
    state->mitm = report->state;
    state->mitm_pid = report->pid;
    for (size_t i = 0; i < CAUSES; i++)
        state->mitm_restarts += report->restarts[i];
    strlcpy(state->mitm_error, report->error, sizeof(state->mitm_error));
}

static bool is_same_half(const struct state *a, const struct state *b)
{
    return a->mitm == b->mitm && a->mitm_pid == b->mitm_pid &&
           a->mitm_restarts == b->mitm_restarts && strcmp(a->mitm_error, b->mitm_error) == 0;
}

static void write_half(struct runner *runner, const struct state *half)
{
    const struct config *config = runner->config;
    struct error error;
    bool failed = state_write(config->state_file, config->user.uid, STATE_MITM, half, &error) != 0;
    if (failed && !runner->write_failed)
        log_warn("state file not written, tried again every 10 s: %s", error.text);
    runner->mitmdump.report.state_write_failures += failed;
    runner->write_failed = failed;
    runner->written = *half;
}

/* Somebody may have deleted the file, or put an older one in its place. A file that cannot be read
 * is left there, for whoever wants to know why. */
static bool half_is_lost(const struct runner *runner, const struct state *half)
{
    struct state live;
    struct error ignored;
    if (runner->write_failed)
        return true;
    if (state_read(runner->config->state_file, runner->config->user.uid, &live, &ignored) != 0)
        return errno == ENOENT;
    return !is_same_half(&live, half);
}

/* Keeps our half of the state file up to date. */
static void keep_state(struct runner *runner)
{
    struct state half;
    int64_t pause = runner->write_failed ? RETRY_MS : KEEP_EVERY_MS;
    fill_half(&runner->mitmdump.report, &half);
    bool changed = !is_same_half(&half, &runner->written);
    if (!changed && clock_ms() - runner->kept_ms < pause)
        return;
    if (changed || half_is_lost(runner, &half))
        write_half(runner, &half);
    runner->kept_ms = clock_ms();
}

static void publish(struct runner *runner)
{
    tell(runner);
    keep_state(runner);
    tell(runner);
}

static void reap(struct runner *runner)
{
    siginfo_t info = {0};
    /* WNOWAIT: until a process is reaped, nobody else gets its number, nor its group's. What has
     * lost its parent comes to us, too. */
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
        pid_t pid = info.si_pid;
        int status = 0;
        info.si_pid = 0;
        bool owned = mitmdump_owns(&runner->mitmdump, pid);
        if (waitpid(pid, &status, 0) != pid || !owned)
            continue;
        mitmdump_ended(&runner->mitmdump, pid, status);
        /* Reports that it is down before it can be up again. */
        publish(runner);
    }
}

static void take_signals(struct runner *runner)
{
    struct signalfd_siginfo info;
    while (read(runner->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(runner);
        else if (signals_order_to_stop(info.ssi_signo))
            mitmdump_stop(&runner->mitmdump);
    }
}

/* Until the next look at mitmdump, which includes the state file, but KEEP_LATEST_MS at most. */
static int timeout_ms(const struct runner *runner)
{
    int64_t now = clock_ms();
    int64_t next = runner->write_failed ? now + KEEP_LATEST_MS : runner->kept_ms + KEEP_LATEST_MS;
    int64_t mitmdump = mitmdump_deadline(&runner->mitmdump);
    if (mitmdump < next)
        next = mitmdump;
    return next < now ? 0 : (int)(next - now);
}

static void loop(struct runner *runner)
{
    struct mitmdump *mitmdump = &runner->mitmdump;
    struct pollfd polled[2 + MITMDUMP_POLLED_MAX];
    /* Whoever waits for mitmdump by the state file may have an old one before him, and the sockets
     * are not open yet. */
    publish(runner);
    while (!mitmdump_is_gone(mitmdump)) {
        runner->pulse->runner_ms = clock_ms();
        mitmdump_tick(mitmdump);
        publish(runner);
        polled[0] = (struct pollfd){.fd = runner->signals, .events = POLLIN};
        /* The responder never sends. The end of its side orders to stop, and is polled for once. */
        polled[1] =
            (struct pollfd){.fd = mitmdump->stopping ? -1 : runner->control, .events = POLLIN};
        size_t count = 2 + mitmdump_poll(mitmdump, polled + 2);
        if (poll(polled, count, timeout_ms(runner)) < 0)
            continue;
        mitmdump_read(mitmdump, polled + 2);
        if (polled[0].revents != 0)
            take_signals(runner);
        if (polled[1].revents != 0)
            mitmdump_stop(mitmdump);
    }
    publish(runner);
}

static int become_mitmproxy_user(const struct config *config, pid_t parent, struct error *error)
{
    if (privileges_drop(config->user.uid, config->user.gid, error) != 0)
        return -1;
    /* MUST come after the drop, because a change of the uid clears it. It only works if the
     * responder is the same user; else the end of the socket pair stops the runner. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0)
        return error_set(error, 1, "set the parent death signal: %s", strerror(errno));
    if (getppid() != parent)
        return error_set(error, 1, "the responder is gone");
    /* Workers, whose parent is a child of the launcher, become children of this process. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return error_set(error, 1, "become the subreaper: %s", strerror(errno));
    return 0;
}

int runner_run(const struct config *config, int control, struct pulse *pulse, pid_t parent)
{
    static struct runner runner;
    struct error error;
    log_set_program("runner");
    prctl(PR_SET_NAME, "healthd-runner", 0, 0, 0);
    runner.config = config;
    runner.control = control;
    runner.pulse = pulse;
    runner.signals = signals_open();
    if (become_mitmproxy_user(config, parent, &error) != 0 ||
        mitmdump_init(&runner.mitmdump, config, pulse, &error) != 0) {
        log_error("%s", error.text);
        return error.status;
    }
    loop(&runner);
    return 0;
}
