#include "healthd/responder/responder.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kernel/netlink.h"
#include "common/process/privileges.h"
#include "healthd/http/server.h"
#include "healthd/http/watch.h"
#include "healthd/link/signals.h"
#include "healthd/responder/answers.h"
#include "healthd/responder/confinement.h"
#include "healthd/responder/readiness.h"

enum { EVENTS_MAX = 64, STOP_WITHIN_MS = 5800 };

/* epoll data that is not the server's, whose numbers are small. */
static const uint64_t signals_data = UINT64_MAX;
static const uint64_t control_data = UINT64_MAX - 1;

struct responder {
    const struct config *config;
    struct readiness readiness;
    int epoll;
    int signals;
    struct runner_link runner;
    int64_t stop_by_ms;
    int exit_status;
    bool done;
};

static void look_at_probes(struct readiness *readiness)
{
    if (clock_ms() < readiness->probes.deadline_ms)
        return;
    probes_look(&readiness->probes, server_accept_waiting);
    readiness->changed = true;
    readiness_warn(readiness);
}

static void take_report(struct responder *responder)
{
    struct report report;
    ssize_t size;
    while ((size = recv(responder->runner.control, &report, sizeof(report), MSG_DONTWAIT)) ==
           (ssize_t)sizeof(report)) {
        report.error[sizeof(report.error) - 1] = '\0';
        report.ca_error[sizeof(report.ca_error) - 1] = '\0';
        responder->readiness.report = report;
        responder->readiness.changed = true;
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(responder->runner.control);
    responder->runner.control = -1;
}

/* Tells the runner by the end of the socket pair: this process may not signal another user's. */
static void stop(struct responder *responder)
{
    if (responder->readiness.stopping)
        return;
    log_info("stopping");
    responder->readiness.stopping = true;
    responder->readiness.changed = true;
    responder->stop_by_ms = clock_ms() + STOP_WITHIN_MS;
    if (responder->runner.control >= 0)
        shutdown(responder->runner.control, SHUT_WR);
    responder->done = responder->runner.pid == 0;
}

static void runner_ended(struct responder *responder, int status)
{
    responder->runner.pid = 0;
    responder->done = true;
    if (responder->readiness.stopping)
        return;
    responder->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (WIFSIGNALED(status))
        log_error("the runner was killed by signal %d", WTERMSIG(status));
    else
        log_error("the runner ended with status %d", WEXITSTATUS(status));
}

static void take_signals(struct responder *responder)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;
    while (read(responder->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (signals_order_to_stop(info.ssi_signo))
            stop(responder);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == responder->runner.pid)
            runner_ended(responder, status);
}

static void take_event(struct responder *responder, uint64_t data)
{
    if (data == signals_data)
        take_signals(responder);
    else if (data == control_data)
        take_report(responder);
    else
        server_event(data);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int timeout_ms(const struct responder *responder, int64_t next_ms)
{
    next_ms = earlier(next_ms, responder->readiness.probes.deadline_ms);
    if (responder->readiness.stopping)
        next_ms = earlier(next_ms, responder->stop_by_ms);
    if (next_ms == INT64_MAX)
        return -1;
    int64_t left = next_ms - clock_ms();
    return left < 0 ? 0 : (int)left;
}

static void loop(struct responder *responder)
{
    struct epoll_event events[EVENTS_MAX];
    while (!responder->done) {
        look_at_probes(&responder->readiness);
        int count = epoll_wait(responder->epoll, events, EVENTS_MAX,
                               timeout_ms(responder, server_expire()));
        for (int i = 0; i < count; i++)
            take_event(responder, events[i].data.u64);
        if (responder->readiness.stopping && clock_ms() >= responder->stop_by_ms)
            responder->done = true;
    }
}

static int open_all(struct responder *responder, const struct listeners *listeners,
                    struct error *error)
{
    const struct clients_callbacks owner = answers_callbacks(&responder->readiness);
    responder->signals = signals_open();
    if (responder->signals < 0)
        return error_set(error, 1, "signals: %s", strerror(errno));
    responder->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (responder->epoll < 0 || watch(responder->epoll, responder->signals, signals_data) != 0 ||
        (responder->runner.control >= 0 &&
         watch(responder->epoll, responder->runner.control, control_data) != 0))
        return error_set(error, 1, "epoll: %s", strerror(errno));
    responder->readiness.route = netlink_open(NETLINK_ROUTE, error);
    if (responder->readiness.route < 0)
        return -1;
    return server_open(responder->epoll, listeners, &owner, error);
}

/* If healthd was not started as root, it keeps its user. */
static int become_healthd_user(const struct config *config, struct error *error)
{
    bool root = geteuid() == 0;
    return privileges_drop(root ? config->healthd_user.uid : geteuid(),
                           root ? config->healthd_user.gid : getegid(), error);
}

int responder_run(const struct config *config, const struct listeners *listeners,
                  const struct runner_link *runner)
{
    static struct responder responder;
    struct error error;
    responder.config = config;
    responder.runner = *runner;
    responder.readiness.config = config;
    responder.readiness.pulse = runner->pulse;
    probes_init(&responder.readiness.probes, config);
    if (become_healthd_user(config, &error) != 0 || open_all(&responder, listeners, &error) != 0 ||
        confine(config, &error) != 0) {
        log_error("%s", error.text);
        return error.status;
    }
    loop(&responder);
    return responder.exit_status;
}
