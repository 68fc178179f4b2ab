#include "healthd/mitmdump.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/access.h"
#include "common/ipv6.h"
#include "common/listener.h"
#include "common/log.h"
#include "healthd/backoff.h"
#include "healthd/clock.h"
#include "healthd/own_listener.h"
#include "healthd/spawn.h"
#include "healthd/usage.h"

/* While somebody waits to be accepted, looks come more often. */
enum {
    LOOK_STARTING_MS = 10,
    LOOK_LISTENING_MS = 1125,
    LOOK_WAITING_MS = 250,
    START_LIMIT_MS = 20 * 1000,
    STARVED_LIMIT_MS = 120 * 1000,
    HUNG_MS = 30 * 1000,
    HEALTHY_RUN_MS = 60 * 1000,
    KILL_AFTER_MS = 5000,
    NOT_STARTED_MS = 1000,
};

int mitmdump_init(struct mitmdump *mitmdump, const struct config *config, struct error *error)
{
    memset(mitmdump, 0, sizeof(*mitmdump));
    mitmdump->config = config;
    mitmdump->output.fd = -1;
    mitmdump->with_ipv6 = ipv6_is_redirected(config);
    if (start_init(&mitmdump->start, config, mitmdump->with_ipv6, error) != 0)
        return -1;
    mitmdump->diagnosis = listener_diagnosis_open(error);
    return mitmdump->diagnosis >= 0 ? 0 : -1;
}

static void set_state(struct mitmdump *mitmdump, enum mitm_state state, const char *why)
{
    struct report *report = &mitmdump->report;
    if (state != MITM_LISTENING) {
        memset(report->inodes, 0, sizeof(report->inodes));
        report->waiting_since_ms = 0;
        report->ca_error[0] = '\0';
    }
    report->state = state;
    if (why != NULL)
        strlcpy(report->error, why, sizeof(report->error));
}

/* To read a new CA is no failure. What was not even started may be tried again soon: that costs
 * nothing, and somebody may have put right what was wrong. */
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
    set_state(mitmdump, delay == 0 ? MITM_DOWN : MITM_BACKOFF, why);
    mitmdump->report.pid = 0;
    mitmdump->deadline_ms = clock_ms() + delay;
    log_error("%s%s; next start in %" PRId64 " ms",
              strncmp(why, "mitmdump", 8) == 0 ? "" : "mitmdump ", why, delay);
}

/* Ends the process, because of that, to start it again. */
static void end(struct mitmdump *mitmdump, enum restart_cause cause, const char *why)
{
    log_error("mitmdump %s: SIGTERM", why);
    set_state(mitmdump, MITM_DOWN, why);
    mitmdump->ending = true;
    mitmdump->cause = cause;
    mitmdump->deadline_ms = clock_ms() + KILL_AFTER_MS;
    kill(mitmdump->pid, SIGTERM);
}

static int check_start(struct mitmdump *mitmdump, struct error *error)
{
    if (ca_watch_read(mitmdump->config, &mitmdump->ca_file, error) != 0)
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
    output_open(&mitmdump->output, output);
    if (mitmdump->failed)
        report->restarts[mitmdump->cause]++;
    mitmdump->failed = false;
    report->pid = (uint32_t)mitmdump->pid;
    set_state(mitmdump, MITM_STARTING, NULL);
    mitmdump->started_ms = clock_ms();
    mitmdump->silent_since_ms = mitmdump->started_ms;
    mitmdump->listening_since_ms = 0;
    mitmdump->ending = false;
    mitmdump->deadline_ms = mitmdump->started_ms + LOOK_STARTING_MS;
    log_info("started mitmdump, pid %d", mitmdump->pid);
}

/* Its own listeners, all of them, and how many connections wait there. */
static int find_listeners(const struct mitmdump *mitmdump, uint32_t inodes[2], uint32_t *waiting,
                          struct error *error)
{
    static const int families[] = {AF_INET, AF_INET6};
    const struct own_listener own = {mitmdump->diagnosis, mitmdump->pid, mitmdump->config->port};
    *waiting = 0;
    for (size_t i = 0; i < (mitmdump->with_ipv6 ? 2 : 1); i++) {
        struct listener found;
        if (own_listener_find(&own, families[i], mitmdump->report.inodes[i], &found, error) != 0)
            return -1;
        inodes[i] = found.inode;
        *waiting += found.backlog;
    }
    return 0;
}

static int check_start_is_over(struct mitmdump *mitmdump, struct error *error)
{
    if (mitmdump->report.state == MITM_LISTENING)
        return 0;
    output_read(&mitmdump->output);
    return start_is_over(&mitmdump->start, &mitmdump->output, mitmdump->pid, error) ? 0 : -1;
}

static void begin_listening(struct mitmdump *mitmdump)
{
    mitmdump->last_end[0] = '\0';
    set_state(mitmdump, MITM_LISTENING, "");
    if (mitmdump->listening_since_ms != 0) {
        log_info("mitmdump listens again");
        return;
    }
    mitmdump->listening_since_ms = clock_ms();
    mitmdump->report.start_ms = (uint32_t)(mitmdump->listening_since_ms - mitmdump->started_ms);
    log_info("mitmdump listens on port %u of 127.0.0.1%s, %u ms after its start",
             mitmdump->config->port, mitmdump->with_ipv6 ? " and ::1" : "",
             mitmdump->report.start_ms);
}

/* Connections that nobody accepts, at every look for so long, mean that it hangs. */
static void watch_queue(struct mitmdump *mitmdump, uint32_t waiting)
{
    struct report *report = &mitmdump->report;
    if (waiting == 0)
        report->waiting_since_ms = 0;
    else if (report->waiting_since_ms == 0)
        report->waiting_since_ms = clock_ms();
    else if (clock_ms() - report->waiting_since_ms >= HUNG_MS)
        end(mitmdump, CAUSE_HUNG, "hangs: connections have waited to be accepted for 30 s");
}

static void watch_ca(struct mitmdump *mitmdump)
{
    struct error error = {0};
    enum ca_change change = ca_watch_look(mitmdump->config, &mitmdump->ca_file, &error);
    if (change == CA_REPLACED) {
        end(mitmdump, CAUSE_CA_CHANGED, "has to read its new CA");
        return;
    }
    if (change == CA_WRONG && mitmdump->report.ca_error[0] == '\0')
        log_error("%s", error.text);
    strlcpy(mitmdump->report.ca_error, change == CA_WRONG ? error.text : "",
            sizeof(mitmdump->report.ca_error));
}

static void look_listening(struct mitmdump *mitmdump, const uint32_t inodes[2], uint32_t waiting)
{
    if (mitmdump->report.state != MITM_LISTENING)
        begin_listening(mitmdump);
    memcpy(mitmdump->report.inodes, inodes, sizeof(mitmdump->report.inodes));
    mitmdump->deadline_ms = clock_ms() + (waiting > 0 ? LOOK_WAITING_MS : LOOK_LISTENING_MS);
    watch_queue(mitmdump, waiting);
    if (!mitmdump->ending)
        watch_ca(mitmdump);
}

/* One that gets no processor is still at work when its time is over: it gets more. */
static bool is_starved(const struct mitmdump *mitmdump, int64_t silent_ms)
{
    struct usage usage;
    return silent_ms < STARVED_LIMIT_MS && usage_read((uint32_t)mitmdump->pid, &usage) == 0 &&
           !usage.asleep && usage.cpu_seconds * 1000 < START_LIMIT_MS / 2;
}

static void look_silent(struct mitmdump *mitmdump, const struct error *why)
{
    char text[STATE_ERROR_SIZE];
    int64_t now = clock_ms();
    if (mitmdump->report.state == MITM_LISTENING)
        mitmdump->silent_since_ms = now;
    mitmdump->deadline_ms = now + LOOK_STARTING_MS;
    bool is_first = mitmdump->last_end[0] == '\0';
    snprintf(text, sizeof(text), "%.180s%s%.180s", why->text,
             is_first ? "" : "; before that: ", mitmdump->last_end);
    set_state(mitmdump, MITM_STARTING, text);
    int64_t silent_ms = now - mitmdump->silent_since_ms;
    if (silent_ms < START_LIMIT_MS || is_starved(mitmdump, silent_ms))
        return;
    snprintf(text, sizeof(text), "did not listen within %" PRId64 " s: %.300s", silent_ms / 1000,
             why->text);
    end(mitmdump, CAUSE_START_TIMEOUT, text);
}

static void look(struct mitmdump *mitmdump)
{
    uint32_t inodes[2] = {0};
    uint32_t waiting;
    struct error error;
    if (find_listeners(mitmdump, inodes, &waiting, &error) == 0 &&
        check_start_is_over(mitmdump, &error) == 0)
        look_listening(mitmdump, inodes, waiting);
    else
        look_silent(mitmdump, &error);
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
        look(mitmdump);
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
    set_state(mitmdump, MITM_STOPPING, "");
    mitmdump->deadline_ms = clock_ms() + KILL_AFTER_MS;
    if (mitmdump->pid > 0)
        kill(mitmdump->pid, SIGTERM);
}

bool mitmdump_is_gone(const struct mitmdump *mitmdump)
{
    return mitmdump->stopping && mitmdump->pid == 0;
}
