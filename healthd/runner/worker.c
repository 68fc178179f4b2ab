#include "healthd/runner/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mitmdump/access.h"
#include "healthd/link/usage.h"
#include "healthd/runner/backoff.h"
#include "healthd/runner/spawn.h"

enum {
    ORDER_LIMIT_MS = 3 * 1000,
    START_LIMIT_MS = 20 * 1000,
    STARVED_LIMIT_MS = 120 * 1000,
    HUNG_MS = 30 * 1000,
    KILL_AFTER_MS = 5000,
    HEALTHY_RUN_MS = 60 * 1000,
    NOT_STARTED_MS = 1000,
};

void worker_init(struct worker *worker, unsigned int number, const struct worker_means *means,
                 struct worker_pulse *pulse)
{
    memset(worker, 0, sizeof(*worker));
    worker->number = number;
    worker->control = -1;
    worker->output.fd = -1;
    worker->pulse = pulse;
    strlcpy(worker->name, "mitmdump", sizeof(worker->name));
    if (means->wanted > 1)
        snprintf(worker->name, sizeof(worker->name), "mitmdump %u", number);
}

/* A restart to read a new CA is no failure. A mitmdump that was not even started is tried again
 * soon: that costs nothing, and the obstacle may be gone. */
static int64_t delay_after(struct worker *worker, enum restart_cause cause)
{
    if (cause == CAUSE_CA_CHANGED)
        return 0;
    if (cause == CAUSE_NOT_STARTED)
        return NOT_STARTED_MS;
    return backoff_ms(++worker->failures);
}

static void fail(struct worker *worker, enum restart_cause cause, const char *why)
{
    int64_t delay = delay_after(worker, cause);
    worker->phase = WORKER_DOWN;
    worker->cause = cause;
    worker->failed = true;
    worker->backs_off = delay > 0;
    worker->deadline_ms = clock_ms() + delay;
    if (why != worker->why)
        strlcpy(worker->why, why, sizeof(worker->why));
    log_error("%s %s; next start in %" PRId64 " ms", worker->name, why, delay);
}

static int check_start(struct worker *worker, const struct worker_means *means, struct error *error)
{
    if (ca_watch_read(means->config, &worker->ca_file, error) != 0)
        return error_prefix(error, "not started");
    if (access_check(means->config, error) != 0)
        return error_prefix(error, "not started");
    return 0;
}

static void begin(struct worker *worker, const struct worker_means *means)
{
    if (worker->failed)
        means->report->restarts[worker->cause]++;
    worker->failed = false;
    worker->started_ms = clock_ms();
    worker->up_ms = 0;
}

static void has_process(struct worker *worker, pid_t pid)
{
    worker->pid = pid;
    worker->pulse->pid = (uint32_t)pid;
    worker->phase = WORKER_STARTING;
    worker->deadline_ms = worker->started_ms + START_LIMIT_MS;
    log_info("started %s, pid %d", worker->name, pid);
}

/* The process will say which one it is. */
static int order(struct worker *worker, const struct worker_means *means, int pulse,
                 struct error *error)
{
    int ends[2];
    if (spawn_pipe(ends, error) != 0)
        return -1;
    int result = launcher_order(means->launcher, pulse, ends[1], error);
    close(ends[1]);
    if (result != 0) {
        close(ends[0]);
        return -1;
    }
    output_open(&worker->output, worker->name, ends[0]);
    worker->phase = WORKER_ORDERED;
    worker->deadline_ms = worker->started_ms + ORDER_LIMIT_MS;
    return 0;
}

static int spawn_directly(struct worker *worker, const struct worker_means *means, int pulse,
                          struct error *error)
{
    const struct proxy_sockets *sockets = means->sockets;
    const int descriptors[] = {pulse, sockets->fds[0], sockets->fds[1]};
    const struct spawn how = {means->command, means->config->confdir, descriptors,
                              1 + sockets->count};
    pid_t pid;
    int output;
    if (spawn(&how, &pid, &output, error) != 0)
        return -1;
    output_open(&worker->output, worker->name, output);
    has_process(worker, pid);
    return 0;
}

static void start(struct worker *worker, const struct worker_means *means)
{
    struct error error;
    int ends[2];
    bool is_ready = means->launcher->phase == LAUNCHER_READY;
    if (check_start(worker, means, &error) != 0) {
        fail(worker, CAUSE_NOT_STARTED, error.text);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        fail(worker, CAUSE_NOT_STARTED, "not started: no socket for its pulse");
        return;
    }
    begin(worker, means);
    worker->control = ends[0];
    int result = is_ready && !worker->direct ? order(worker, means, ends[1], &error)
                                             : spawn_directly(worker, means, ends[1], &error);
    close(ends[1]);
    if (result == 0)
        return;
    close(worker->control);
    worker->control = -1;
    fail(worker, CAUSE_NOT_STARTED, error.text);
}

void worker_end(struct worker *worker, enum restart_cause cause, const char *why)
{
    log_error("%s %s: SIGTERM", worker->name, why);
    strlcpy(worker->why, why, sizeof(worker->why));
    worker->phase = WORKER_ENDING;
    worker->cause = cause;
    worker->deadline_ms = clock_ms() + KILL_AFTER_MS;
    kill(worker->pid, SIGTERM);
}

/* A mitmdump that got too little processor time to start gets more time. */
static bool is_starved(const struct worker *worker)
{
    struct usage usage;
    return clock_ms() - worker->started_ms < STARVED_LIMIT_MS &&
           usage_read((uint32_t)worker->pid, &usage) == 0 && !usage.asleep &&
           usage.cpu_seconds * 1000 < START_LIMIT_MS / 2;
}

static void start_takes_too_long(struct worker *worker)
{
    char why[128];
    if (is_starved(worker)) {
        worker->deadline_ms = clock_ms() + NOT_STARTED_MS;
        return;
    }
    snprintf(why, sizeof(why), "did not finish its start within %" PRId64 " s",
             (clock_ms() - worker->started_ms) / 1000);
    worker_end(worker, CAUSE_START_TIMEOUT, why);
}

/* It has no process that we know; what the launcher may still do ends when its socket is closed. */
static void was_not_forked(struct worker *worker, const char *why)
{
    close(worker->control);
    worker->control = -1;
    output_close(&worker->output);
    worker->direct = true;
    fail(worker, CAUSE_EXITED, why);
}

void worker_tick(struct worker *worker, const struct worker_means *means, bool stopping)
{
    if (clock_ms() < worker->deadline_ms)
        return;
    switch (worker->phase) {
    case WORKER_DOWN:
        if (stopping)
            worker->deadline_ms = INT64_MAX;
        else if (worker->direct || means->launcher->phase != LAUNCHER_STARTING)
            start(worker, means);
        break;
    case WORKER_ORDERED:
        launcher_hangs(means->launcher);
        was_not_forked(worker, "was not started: the launcher does not answer");
        break;
    case WORKER_STARTING:
        start_takes_too_long(worker);
        break;
    case WORKER_UP:
        worker_end(worker, CAUSE_HUNG, "hangs: its pulse has been silent for 30 s");
        break;
    case WORKER_ENDING:
        log_warn("%s has not ended on SIGTERM: SIGKILL", worker->name);
        kill(-worker->pid, SIGKILL);
        worker->deadline_ms = INT64_MAX;
        break;
    }
}

static void is_up(struct worker *worker, const struct worker_means *means)
{
    worker->phase = WORKER_UP;
    worker->why[0] = '\0';
    if (worker->up_ms != 0)
        return;
    worker->up_ms = clock_ms();
    means->report->start_ms = (uint32_t)(worker->up_ms - worker->started_ms);
    log_info("%s listens on port %u of 127.0.0.1%s, %u ms after its start", worker->name,
             means->config->port, means->sockets->count > 1 ? " and ::1" : "",
             means->report->start_ms);
}

/* A beat has the counts, in the order of enum count. */
static void take_beat(struct worker *worker, const char *text, const struct worker_means *means)
{
    if (worker->phase == WORKER_STARTING)
        is_up(worker, means);
    int64_t now = clock_ms();
    worker->pulse->beat_ms = now;
    if (worker->phase == WORKER_UP)
        worker->deadline_ms = now + HUNG_MS;
    for (int i = 0; i < COUNTS; i++) {
        uint64_t count;
        int length;
        if (sscanf(text, " %" SCNu64 "%n", &count, &length) != 1)
            return;
        worker->pulse->counts[i] = i == COUNT_OPEN ? count : worker->counted[i] + count;
        text += length;
    }
}

static void take(struct worker *worker, const char *text, const struct worker_means *means)
{
    siginfo_t info;
    pid_t pid;
    if (strncmp(text, "beat ", 5) == 0)
        take_beat(worker, text + 5, means);
    else if (worker->phase == WORKER_ORDERED && sscanf(text, "pid %d", &pid) == 1 &&
             /* Only a child of ours is one that we can end and reap. */
             waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        has_process(worker, pid);
}

void worker_read(struct worker *worker, const struct worker_means *means)
{
    char text[256];
    ssize_t size = 0;
    while (worker->control >= 0 &&
           (size = recv(worker->control, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
        text[size] = '\0';
        take(worker, text, means);
    }
    if (worker->control < 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (worker->phase == WORKER_ORDERED) {
        was_not_forked(worker, "was not started: the launcher could not fork it");
        return;
    }
    close(worker->control);
    worker->control = -1;
}

static void forget_process(struct worker *worker)
{
    output_read(&worker->output);
    output_close(&worker->output);
    if (worker->control >= 0)
        close(worker->control);
    worker->control = -1;
    worker->pid = 0;
    worker->pulse->pid = 0;
    worker->pulse->beat_ms = 0;
    worker->pulse->counts[COUNT_OPEN] = 0;
    for (int i = 0; i < COUNTS; i++)
        worker->counted[i] = worker->pulse->counts[i];
}

void worker_ended(struct worker *worker, int wait_status, bool stopping)
{
    char why[OUTPUT_END_SIZE];
    forget_process(worker);
    if (stopping) {
        worker->phase = WORKER_DOWN;
        worker->deadline_ms = INT64_MAX;
        return;
    }
    output_describe_end(&worker->output, wait_status, why);
    /* The launcher may be the cause of a start that fails, so the next one is without it. If that
     * fails, too, it was something else, and the launcher is used again. */
    if (worker->up_ms == 0)
        worker->direct = !worker->direct;
    else if (clock_ms() - worker->up_ms >= HEALTHY_RUN_MS)
        worker->failures = 0;
    if (worker->phase != WORKER_ENDING)
        worker->cause = WIFSIGNALED(wait_status) ? CAUSE_KILLED : CAUSE_EXITED;
    fail(worker, worker->cause, worker->phase == WORKER_ENDING ? worker->why : why);
}

void worker_stop(struct worker *worker)
{
    if (worker->phase == WORKER_ORDERED) {
        close(worker->control);
        worker->control = -1;
        output_close(&worker->output);
        worker->phase = WORKER_DOWN;
    }
    worker->deadline_ms = worker->pid > 0 ? clock_ms() + KILL_AFTER_MS : INT64_MAX;
    if (worker->pid == 0)
        return;
    worker->phase = WORKER_ENDING;
    kill(worker->pid, SIGTERM);
}

enum mitm_state worker_describe(const struct worker *worker, char text[static STATE_ERROR_SIZE])
{
    const char *last = worker->output.last;
    text[0] = '\0';
    switch (worker->phase) {
    case WORKER_UP:
        return MITM_LISTENING;
    case WORKER_ORDERED:
    case WORKER_STARTING:
        snprintf(text, STATE_ERROR_SIZE, "%s%.120s%s%.200s",
                 last[0] != '\0' ? "has complained: " : "has not finished starting", last,
                 worker->why[0] != '\0' ? "; before that: " : "", worker->why);
        return MITM_STARTING;
    case WORKER_DOWN:
    case WORKER_ENDING:
        break;
    }
    strlcpy(text, worker->why, STATE_ERROR_SIZE);
    if (worker->phase == WORKER_DOWN && worker->why[0] == '\0')
        return MITM_STARTING; /* it waits for the launcher */
    return worker->phase == WORKER_DOWN && worker->backs_off ? MITM_BACKOFF : MITM_DOWN;
}
