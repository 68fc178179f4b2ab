#include "healthd/mitmdump.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/access.h"
#include "common/ipv6.h"
#include "common/listener.h"
#include "common/log.h"
#include "healthd/clock.h"
#include "healthd/command.h"
#include "healthd/spawn.h"

enum {
    LOOK_STARTING_MS = 10,
    LOOK_LISTENING_MS = 1000,
    SETTLE_MS = 1000,
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 30 * 1000,
    HEALTHY_RUN_MS = 60 * 1000,
    KILL_AFTER_MS = 5000,
};

int mitmdump_init(struct mitmdump *mitmdump, const struct config *config, struct error *error)
{
    memset(mitmdump, 0, sizeof(*mitmdump));
    mitmdump->config = config;
    mitmdump->output.fd = -1;
    mitmdump->with_ipv6 = ipv6_is_redirected(config);
    mitmdump->command = command_build(config, mitmdump->with_ipv6);
    if (mitmdump->command == NULL)
        return error_set(error, 1, "mitmdump's command line: out of memory or too long");
    mitmdump->diagnosis = listener_diagnosis_open(error);
    return mitmdump->diagnosis >= 0 ? 0 : -1;
}

static void set_state(struct mitmdump *mitmdump, enum mitm_state state, const char *why)
{
    mitmdump->report.state = state;
    memset(mitmdump->report.inodes, 0, sizeof(mitmdump->report.inodes));
    if (why != NULL)
        strlcpy(mitmdump->report.error, why, sizeof(mitmdump->report.error));
}

/* At once after the first failure, then after 1 s, doubling to 30 s. */
static int64_t backoff_ms(unsigned int failures)
{
    int64_t delay = BACKOFF_FIRST_MS;
    if (failures <= 1)
        return 0;
    for (unsigned int i = 2; i < failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}

static void fail(struct mitmdump *mitmdump, const char *why)
{
    mitmdump->failures++;
    int64_t delay = backoff_ms(mitmdump->failures);
    set_state(mitmdump, delay == 0 ? MITM_DOWN : MITM_BACKOFF, why);
    mitmdump->report.pid = 0;
    mitmdump->deadline_ms = clock_ms() + delay;
    log_error("%s%s; next start in %" PRId64 " ms",
              strncmp(why, "mitmdump", 8) == 0 ? "" : "mitmdump ", why, delay);
}

/* mitmdump replaces a missing CA by a new one in silence, which no client trusts. */
static int check_ca(const struct config *config, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.4000s/mitmproxy-ca.pem", config->confdir);
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0)
        return 0;
    return error_set(error, EX_CONFIG, "not started: CA file %s: %s", path, strerror(errno));
}

static void start(struct mitmdump *mitmdump)
{
    struct error error;
    int output = -1;
    if (check_ca(mitmdump->config, &error) != 0 || access_check(mitmdump->config, &error) != 0 ||
        spawn(mitmdump->command, mitmdump->config->confdir, &mitmdump->pid, &output, &error) != 0) {
        fail(mitmdump, error.text);
        return;
    }
    output_open(&mitmdump->output, output);
    if (mitmdump->failures > 0)
        mitmdump->report.restarts++;
    mitmdump->started_ms = clock_ms();
    mitmdump->deadline_ms = mitmdump->started_ms + LOOK_STARTING_MS;
    mitmdump->settle_ms = 0;
    set_state(mitmdump, MITM_STARTING, NULL);
    mitmdump->report.pid = (uint32_t)mitmdump->pid;
    log_info("started mitmdump, pid %d", mitmdump->pid);
}

/* A listener of ours: of our user, and open in our process. Returns its inode, or 0 and why not. */
static uint32_t find_own(const struct mitmdump *mitmdump, int family, uint32_t known,
                         struct error *error)
{
    struct listener found;
    const char *address = family == AF_INET ? "127.0.0.1" : "::1";
    uint16_t port = mitmdump->config->port;
    int there = listener_find(mitmdump->diagnosis, family, port, &found, error);
    if (there == 1 && found.inode == known)
        return known;
    if (there == 1 && found.uid == geteuid() && spawn_has_socket(mitmdump->pid, found.inode))
        return found.inode;
    if (there == 1)
        error_set(error, 1, "port %u of %s is held by another process, of uid %u", port, address,
                  found.uid);
    else if (there == 0)
        error_set(error, 1, "nobody listens on port %u of %s", port, address);
    return 0;
}

/* A mitmdump that ends for a bad addon or option complains, listens for a moment, and ends. One
 * that has printed anything in its start counts only when it has listened for a while. */
static bool is_settled(struct mitmdump *mitmdump)
{
    output_read(&mitmdump->output);
    if (mitmdump->output.last[0] == '\0')
        return true;
    if (mitmdump->settle_ms == 0)
        mitmdump->settle_ms = clock_ms() + SETTLE_MS;
    return clock_ms() >= mitmdump->settle_ms;
}

static void begin_listening(struct mitmdump *mitmdump)
{
    set_state(mitmdump, MITM_LISTENING, "");
    log_info("mitmdump listens on port %u of 127.0.0.1%s, %" PRId64 " ms after its start",
             mitmdump->config->port, mitmdump->with_ipv6 ? " and ::1" : "",
             clock_ms() - mitmdump->started_ms);
}

static void look(struct mitmdump *mitmdump)
{
    struct report *report = &mitmdump->report;
    struct error error;
    uint32_t v4 = find_own(mitmdump, AF_INET, report->inodes[0], &error);
    uint32_t v6 = 0;
    if (v4 != 0 && mitmdump->with_ipv6)
        v6 = find_own(mitmdump, AF_INET6, report->inodes[1], &error);
    bool listening = v4 != 0 && (v6 != 0 || !mitmdump->with_ipv6);
    if (listening && report->state != MITM_LISTENING) {
        listening = is_settled(mitmdump);
        if (listening)
            begin_listening(mitmdump);
        else
            error_set(&error, 1, "listens, but has complained: %s", mitmdump->output.last);
    }
    if (!listening)
        set_state(mitmdump, MITM_STARTING, error.text);
    if (listening) {
        report->inodes[0] = v4;
        report->inodes[1] = v6;
    }
    mitmdump->deadline_ms = clock_ms() + (listening ? LOOK_LISTENING_MS : LOOK_STARTING_MS);
}

void mitmdump_tick(struct mitmdump *mitmdump)
{
    if (clock_ms() < mitmdump->deadline_ms)
        return;
    if (mitmdump->stopping && mitmdump->pid > 0) {
        log_warn("mitmdump has not ended on SIGTERM: SIGKILL");
        kill(-mitmdump->pid, SIGKILL);
        mitmdump->deadline_ms = INT64_MAX;
    } else if (mitmdump->pid > 0) {
        look(mitmdump);
    } else if (!mitmdump->stopping) {
        start(mitmdump);
    }
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
    if (WIFSIGNALED(wait_status))
        snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(wait_status));
    else
        snprintf(why, sizeof(why), "exited with status %d%s%s", WEXITSTATUS(wait_status),
                 mitmdump->output.last[0] != '\0' ? ": " : "", mitmdump->output.last);
    if (clock_ms() - mitmdump->started_ms >= HEALTHY_RUN_MS)
        mitmdump->failures = 0;
    fail(mitmdump, why);
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
