#include "healthd/runner/mitmdump.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kernel/ipv6.h"
#include "common/kernel/netlink.h"
#include "common/kernel/socket_diagnosis.h"
#include "common/mitmdump/access.h"
#include "healthd/runner/look.h"
#include "healthd/runner/port.h"
#include "healthd/runner/spawn.h"

enum { HEALTHY_RUN_MS = 60 * 1000, KILL_AFTER_MS = 5000, NOT_STARTED_MS = 1000 };

int mitmdump_init(struct mitmdump *mitmdump, const struct config *config, struct error *error)
{
    memset(mitmdump, 0, sizeof(*mitmdump));
    mitmdump->config = config;
    mitmdump->output.fd = -1;
    mitmdump->with_ipv6 = config->ipv6 == IPV6_REDIRECT && ipv6_loopback_is_usable();
    if (start_init(&mitmdump->start, config, mitmdump->with_ipv6, error) != 0)
        return -1;
    mitmdump->diagnosis = netlink_open(NETLINK_SOCK_DIAG, error);
    return mitmdump->diagnosis >= 0 ? 0 : -1;
}

/* Tests of many restarts build with shorter ones: make CFLAGS=-DBACKOFF_MAX_MS=... */
#ifndef BACKOFF_FIRST_MS
#define BACKOFF_FIRST_MS 1000
#endif
#ifndef BACKOFF_MAX_MS
#define BACKOFF_MAX_MS (30 * 1000)
#endif

static int64_t with_jitter(int64_t delay)
{
    int64_t most = delay / 10;
    return delay - most + arc4random_uniform((uint32_t)(2 * most + 1));
}

/* How long to wait before the next start after so many failures in a row: nothing after the first
 * one, then 1 s doubling to 30 s, and up to a tenth more or less, so that many pods which failed
 * together do not start together. */
static int64_t backoff_ms(unsigned int failures)
{
    int64_t delay = BACKOFF_FIRST_MS;
    if (failures <= 1)
        return 0;
    for (unsigned int i = 2; i < failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    delay = with_jitter(delay);
    return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}

/* A restart to read a new CA is no failure. A mitmdump that was not even started is tried again
 * soon: that costs nothing, and the obstacle may be gone. */
static int64_t delay_after(struct mitmdump *mitmdump, enum restart_cause cause)
{
    if (cause == CAUSE_CA_CHANGED)
        return 0;
    if (cause == CAUSE_NOT_STARTED)
        return NOT_STARTED_MS;
    return backoff_ms(++mitmdump->failures);
}

static void fail(struct mitmdump *mitmdump, enum restart_cause cause, const char *why)
{
    mitmdump->cause = cause;
    mitmdump->failed = true;
    strlcpy(mitmdump->last_end, why, sizeof(mitmdump->last_end));
    int64_t delay = delay_after(mitmdump, cause);
    report_state(&mitmdump->report, delay == 0 ? MITM_DOWN : MITM_BACKOFF, why);
    mitmdump->report.pid = 0;
    mitmdump->deadline_ms = clock_ms() + delay;
    log_error("%s%s; next start in %" PRId64 " ms",
              strncmp(why, "mitmdump", 8) == 0 ? "" : "mitmdump ", why, delay);
}

/* Ends the process for that cause. It will be started again. */
static void end(struct mitmdump *mitmdump, enum restart_cause cause, const char *why)
{
    log_error("mitmdump %s: SIGTERM", why);
    report_state(&mitmdump->report, MITM_DOWN, why);
    mitmdump->ending = true;
    mitmdump->cause = cause;
    mitmdump->deadline_ms = clock_ms() + KILL_AFTER_MS;
    kill(mitmdump->pid, SIGTERM);
}

static int check_start(struct mitmdump *mitmdump, struct error *error)
{
    if (ca_watch_read(mitmdump->config, &mitmdump->ca_file, error) != 0)
        return error_prefix(error, "not started");
    /* mitmdump would report it later, and say less. */
    if (port_check(mitmdump->diagnosis, mitmdump->config->port, mitmdump->with_ipv6, error) != 0)
        return error_prefix(error, "not started");
    return access_check(mitmdump->config, error);
}

static void start(struct mitmdump *mitmdump)
{
    struct error error;
    struct report *report = &mitmdump->report;
    int output = -1;
    if (check_start(mitmdump, &error) != 0 ||
        spawn(start_begin(&mitmdump->start), mitmdump->config->confdir, &mitmdump->pid, &output,
              &error) != 0) {
        fail(mitmdump, CAUSE_NOT_STARTED, error.text);
        return;
    }
    output_open(&mitmdump->output, output, report->refused);
    if (mitmdump->failed)
        report->restarts[mitmdump->cause]++;
    mitmdump->failed = false;
    report->pid = (uint32_t)mitmdump->pid;
    report_state(&mitmdump->report, MITM_STARTING, NULL);
    mitmdump->started_ms = clock_ms();
    mitmdump->silent_since_ms = mitmdump->started_ms;
    mitmdump->listening_since_ms = 0;
    mitmdump->ending = false;
    mitmdump->deadline_ms = mitmdump->started_ms + LOOK_FIRST_MS;
    log_info("started mitmdump, pid %d", mitmdump->pid);
}

static void look_after(struct mitmdump *mitmdump)
{
    struct error why;
    enum restart_cause cause = mitmdump_look(mitmdump, &why);
    if (cause != CAUSE_NONE)
        end(mitmdump, cause, why.text);
}

void mitmdump_tick(struct mitmdump *mitmdump)
{
    if (clock_ms() < mitmdump->deadline_ms)
        return;
    if (mitmdump->pid > 0 && (mitmdump->stopping || mitmdump->ending)) {
        log_warn("mitmdump has not ended on SIGTERM: SIGKILL");
        kill(-mitmdump->pid, SIGKILL);
        mitmdump->deadline_ms = INT64_MAX;
    } else if (mitmdump->pid > 0) {
        look_after(mitmdump);
    } else if (!mitmdump->stopping) {
        start(mitmdump);
    }
}

static void describe_end(const struct mitmdump *mitmdump, int wait_status,
                         char why[static STATE_ERROR_SIZE])
{
    if (mitmdump->ending)
        strlcpy(why, mitmdump->report.error, STATE_ERROR_SIZE);
    else if (WIFSIGNALED(wait_status))
        snprintf(why, STATE_ERROR_SIZE, "killed by signal %d", WTERMSIG(wait_status));
    else
        snprintf(why, STATE_ERROR_SIZE, "exited with status %d%s%s", WEXITSTATUS(wait_status),
                 mitmdump->output.last[0] != '\0' ? ": " : "", mitmdump->output.last);
}

void mitmdump_ended(struct mitmdump *mitmdump, int wait_status)
{
    char why[STATE_ERROR_SIZE];
    output_read(&mitmdump->output);
    output_close(&mitmdump->output);
    mitmdump->pid = 0;
    if (mitmdump->stopping) {
        mitmdump->report.pid = 0;
        mitmdump->deadline_ms = INT64_MAX;
        return;
    }
    describe_end(mitmdump, wait_status, why);
    if (mitmdump->listening_since_ms == 0 &&
        (!mitmdump->ending || mitmdump->cause == CAUSE_START_TIMEOUT))
        start_failed(&mitmdump->start);
    if (mitmdump->listening_since_ms != 0 &&
        clock_ms() - mitmdump->listening_since_ms >= HEALTHY_RUN_MS)
        mitmdump->failures = 0;
    if (!mitmdump->ending)
        mitmdump->cause = WIFSIGNALED(wait_status) ? CAUSE_KILLED : CAUSE_EXITED;
    fail(mitmdump, mitmdump->cause, why);
}

void mitmdump_stop(struct mitmdump *mitmdump)
{
    if (mitmdump->stopping)
        return;
    mitmdump->stopping = true;
    report_state(&mitmdump->report, MITM_STOPPING, "");
    mitmdump->deadline_ms = clock_ms() + KILL_AFTER_MS;
    if (mitmdump->pid > 0)
        kill(mitmdump->pid, SIGTERM);
}

bool mitmdump_is_gone(const struct mitmdump *mitmdump)
{
    return mitmdump->stopping && mitmdump->pid == 0;
}
