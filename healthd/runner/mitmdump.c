#include "healthd/runner/mitmdump.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kernel/ipv6.h"
#include "healthd/runner/command.h"
#include "healthd/runner/processors.h"

/* The CA is looked at a little after a beat is due, so that both wake the runner once. */
enum { OPEN_AGAIN_MS = 1000, CA_LOOK_MS = 1000, RESET_AFTER_MS = 10 * 1000, RESET_EVERY_MS = 250 };

static unsigned int count_wanted(const struct config *config)
{
    unsigned int wanted = config->workers == 0 ? processors_usable() : config->workers;
    return wanted < WORKERS_MAX ? wanted : WORKERS_MAX;
}

int mitmdump_init(struct mitmdump *mitmdump, const struct config *config, struct pulse *pulse,
                  struct error *error)
{
    bool with_ipv6 = config->ipv6 == IPV6_REDIRECT && ipv6_loopback_is_usable();
    struct commands commands;
    memset(mitmdump, 0, sizeof(*mitmdump));
    mitmdump->config = config;
    if (commands_build(config, with_ipv6, &commands, error) != 0)
        return -1;
    proxy_sockets_init(&mitmdump->sockets, config->port, with_ipv6);
    launcher_init(&mitmdump->launcher, commands.launcher, config->confdir);
    mitmdump->none_up_since_ms = clock_ms();
    mitmdump->means = (struct worker_means){.config = config,
                                            .sockets = &mitmdump->sockets,
                                            .launcher = &mitmdump->launcher,
                                            .command = commands.mitmdump,
                                            .report = &mitmdump->report,
                                            .wanted = count_wanted(config)};
    mitmdump->report.workers = mitmdump->means.wanted;
    mitmdump->report.state = MITM_STARTING;
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++)
        worker_init(&mitmdump->workers[i], i + 1, &mitmdump->means, &pulse->workers[i]);
    return 0;
}

static void report_not_open(struct report *report, const struct error *error)
{
    if (strcmp(report->error, error->text) != 0)
        log_error("mitmdump %s", error->text);
    report->state = MITM_BACKOFF;
    strlcpy(report->error, error->text, sizeof(report->error));
}

/* Nothing is started before the port is ours. */
static bool open_sockets(struct mitmdump *mitmdump)
{
    struct error error;
    if (mitmdump->has_sockets || mitmdump->stopping)
        return mitmdump->has_sockets;
    if (clock_ms() < mitmdump->open_again_ms)
        return false;
    mitmdump->open_again_ms = clock_ms() + OPEN_AGAIN_MS;
    mitmdump->has_sockets = proxy_sockets_open(&mitmdump->sockets, &error) == 0;
    if (!mitmdump->has_sockets) {
        error_prefix(&error, "not started");
        report_not_open(&mitmdump->report, &error);
    }
    return mitmdump->has_sockets;
}

/* Has a worker read a CA that is no longer the one in the file? */
static void look_at_ca(struct mitmdump *mitmdump)
{
    struct report *report = &mitmdump->report;
    struct error error = {0};
    bool wrong = false;
    mitmdump->ca_look_ms = clock_ms() + CA_LOOK_MS;
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++) {
        struct worker *worker = &mitmdump->workers[i];
        if (worker->phase != WORKER_UP)
            continue;
        enum ca_change change = ca_watch_look(mitmdump->config, &worker->ca_file, &error);
        if (change == CA_REPLACED)
            worker_end(worker, CAUSE_CA_CHANGED, "has to read its new CA");
        wrong = wrong || change == CA_WRONG;
    }
    if (wrong && report->ca_error[0] == '\0')
        log_error("%s", error.text);
    strlcpy(report->ca_error, wrong ? error.text : "", sizeof(report->ca_error));
}

static bool one_is_up(const struct mitmdump *mitmdump)
{
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++)
        if (mitmdump->workers[i].phase == WORKER_UP)
            return true;
    return false;
}

/* A client waits for a restart, but not for ever. */
static void reset_waiting(struct mitmdump *mitmdump)
{
    int64_t now = clock_ms();
    if (one_is_up(mitmdump))
        mitmdump->none_up_since_ms = 0;
    else if (mitmdump->none_up_since_ms == 0)
        mitmdump->none_up_since_ms = now;
    mitmdump->resets = mitmdump->has_sockets && mitmdump->none_up_since_ms != 0 &&
                       now - mitmdump->none_up_since_ms >= RESET_AFTER_MS;
    if (mitmdump->resets)
        proxy_sockets_reset_waiting(&mitmdump->sockets);
}

/* The state is that of the first worker that is not up. */
static void summarize(struct mitmdump *mitmdump)
{
    struct report *report = &mitmdump->report;
    char text[STATE_ERROR_SIZE];
    report->pid = 0;
    report->state = mitmdump->stopping ? MITM_STOPPING : MITM_LISTENING;
    report->error[0] = '\0';
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++) {
        const struct worker *worker = &mitmdump->workers[i];
        enum mitm_state state = worker_describe(worker, text);
        if (report->pid == 0)
            report->pid = (uint32_t)worker->pid;
        if (report->state != MITM_LISTENING || state == MITM_LISTENING)
            continue;
        report->state = state;
        if (report->workers > 1)
            snprintf(report->error, sizeof(report->error), "worker %u of %u: %.340s",
                     worker->number, report->workers, text);
        else
            strlcpy(report->error, text, sizeof(report->error));
    }
}

void mitmdump_tick(struct mitmdump *mitmdump)
{
    if (!mitmdump->stopping && !open_sockets(mitmdump))
        return;
    launcher_tick(&mitmdump->launcher, &mitmdump->sockets);
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++)
        worker_tick(&mitmdump->workers[i], &mitmdump->means, mitmdump->stopping);
    if (!mitmdump->stopping && clock_ms() >= mitmdump->ca_look_ms)
        look_at_ca(mitmdump);
    reset_waiting(mitmdump);
    summarize(mitmdump);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t mitmdump_deadline(const struct mitmdump *mitmdump)
{
    if (!mitmdump->has_sockets && !mitmdump->stopping)
        return mitmdump->open_again_ms;
    int64_t next = mitmdump->launcher.deadline_ms;
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++) {
        const struct worker *worker = &mitmdump->workers[i];
        bool waits = worker->phase == WORKER_DOWN && !worker->direct &&
                     mitmdump->launcher.phase == LAUNCHER_STARTING;
        if (!waits)
            next = earlier(next, worker->deadline_ms);
    }
    if (mitmdump->none_up_since_ms != 0 && !mitmdump->resets)
        next = earlier(next, mitmdump->none_up_since_ms + RESET_AFTER_MS);
    return next;
}

/* The order is that of mitmdump_read. */
size_t mitmdump_poll(const struct mitmdump *mitmdump, struct pollfd polled[MITMDUMP_POLLED_MAX])
{
    size_t count = 0;
    polled[count++] = (struct pollfd){.fd = mitmdump->launcher.control, .events = POLLIN};
    polled[count++] = (struct pollfd){.fd = mitmdump->launcher.output.fd, .events = POLLIN};
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++) {
        const struct worker *worker = &mitmdump->workers[i];
        polled[count++] = (struct pollfd){.fd = worker->control, .events = POLLIN};
        polled[count++] = (struct pollfd){.fd = worker->output.fd, .events = POLLIN};
    }
    /* These only wake the loop. */
    for (size_t i = 0; mitmdump->resets && i < mitmdump->sockets.count; i++)
        polled[count++] = (struct pollfd){.fd = mitmdump->sockets.fds[i], .events = POLLIN};
    return count;
}

void mitmdump_read(struct mitmdump *mitmdump, const struct pollfd polled[MITMDUMP_POLLED_MAX])
{
    if (polled[0].revents != 0)
        launcher_read(&mitmdump->launcher);
    if (polled[1].revents != 0)
        output_read(&mitmdump->launcher.output);
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++) {
        if (polled[2 + 2 * i].revents != 0)
            worker_read(&mitmdump->workers[i], &mitmdump->means);
        if (polled[3 + 2 * i].revents != 0)
            output_read(&mitmdump->workers[i].output);
    }
}

static struct worker *find_worker(struct mitmdump *mitmdump, pid_t pid)
{
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++)
        if (mitmdump->workers[i].pid == pid)
            return &mitmdump->workers[i];
    return NULL;
}

bool mitmdump_owns(struct mitmdump *mitmdump, pid_t pid)
{
    /* A worker may have said which process it is, and ended, before that was read. */
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++)
        if (mitmdump->workers[i].phase == WORKER_ORDERED)
            worker_read(&mitmdump->workers[i], &mitmdump->means);
    if (pid != mitmdump->launcher.pid && find_worker(mitmdump, pid) == NULL)
        return false;
    kill(-pid, SIGKILL);
    return true;
}

void mitmdump_ended(struct mitmdump *mitmdump, pid_t pid, int wait_status)
{
    struct worker *worker = find_worker(mitmdump, pid);
    if (pid == mitmdump->launcher.pid)
        launcher_ended(&mitmdump->launcher, wait_status);
    else if (worker != NULL)
        worker_ended(worker, wait_status, mitmdump->stopping);
    summarize(mitmdump);
}

void mitmdump_stop(struct mitmdump *mitmdump)
{
    if (mitmdump->stopping)
        return;
    mitmdump->stopping = true;
    proxy_sockets_close(&mitmdump->sockets);
    mitmdump->has_sockets = false;
    launcher_stop(&mitmdump->launcher);
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++)
        worker_stop(&mitmdump->workers[i]);
    summarize(mitmdump);
}

bool mitmdump_is_gone(const struct mitmdump *mitmdump)
{
    for (unsigned int i = 0; i < mitmdump->means.wanted; i++)
        if (mitmdump->workers[i].pid != 0)
            return false;
    return mitmdump->stopping && mitmdump->launcher.pid == 0;
}
