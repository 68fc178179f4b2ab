#include "healthd/runner/look.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kernel/socket_diagnosis.h"
#include "healthd/link/usage.h"
#include "healthd/runner/spawn.h"

/* Looks come more often while a connection waits to be accepted. */
enum {
    LOOK_LISTENING_MS = 1125,
    LOOK_WAITING_MS = 250,
    START_LIMIT_MS = 20 * 1000,
    STARVED_LIMIT_MS = 120 * 1000,
    HUNG_MS = 30 * 1000,
};

/* Finds the listener on the loopback address of family and makes sure that it is mitmdump's: of our
 * user, and open in that process, unless its inode is known already. 0, or -1 with error: nobody
 * listens, or somebody else does. */
static int find_own_listener(const struct mitmdump *mitmdump, int family, uint32_t known,
                             struct listener *found, struct error *error)
{
    const char *address = family == AF_INET ? "127.0.0.1" : "::1";
    uint16_t port = mitmdump->config->port;
    int there = listener_find(mitmdump->diagnosis, family, port, found, error);
    if (there < 0)
        return -1;
    if (there == 0)
        return error_set(error, 1, "nobody listens on port %u of %s", port, address);
    if (found->inode == known)
        return 0;
    if (found->uid == geteuid() && spawn_has_socket(mitmdump->pid, found->inode))
        return 0;
    return error_set(error, 1, "port %u of %s is held by another process, of uid %u", port, address,
                     found->uid);
}

/* Finds all of its own listeners, and how many connections wait there. */
static int find_listeners(const struct mitmdump *mitmdump, uint32_t inodes[2], uint32_t *waiting,
                          struct error *error)
{
    static const int families[] = {AF_INET, AF_INET6};
    *waiting = 0;
    for (size_t i = 0; i < (mitmdump->with_ipv6 ? 2 : 1); i++) {
        struct listener found;
        if (find_own_listener(mitmdump, families[i], mitmdump->report.inodes[i], &found, error) !=
            0)
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
    return start_is_over(&mitmdump->start, &mitmdump->output, error) ? 0 : -1;
}

static void begin_listening(struct mitmdump *mitmdump)
{
    mitmdump->last_end[0] = '\0';
    report_state(&mitmdump->report, MITM_LISTENING, "");
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

/* mitmdump hangs if every look for HUNG_MS has found connections that nobody accepts. */
static enum restart_cause watch_queue(struct report *report, uint32_t waiting, struct error *why)
{
    if (waiting == 0)
        report->waiting_since_ms = 0;
    else if (report->waiting_since_ms == 0)
        report->waiting_since_ms = clock_ms();
    if (waiting == 0 || clock_ms() - report->waiting_since_ms < HUNG_MS)
        return CAUSE_NONE;
    error_set(why, 1, "hangs: connections have waited to be accepted for 30 s");
    return CAUSE_HUNG;
}

static enum restart_cause watch_ca(struct mitmdump *mitmdump, struct error *why)
{
    struct error error = {0};
    enum ca_change change = ca_watch_look(mitmdump->config, &mitmdump->ca_file, &error);
    if (change == CA_REPLACED) {
        error_set(why, 1, "has to read its new CA");
        return CAUSE_CA_CHANGED;
    }
    if (change == CA_WRONG && mitmdump->report.ca_error[0] == '\0')
        log_error("%s", error.text);
    strlcpy(mitmdump->report.ca_error, change == CA_WRONG ? error.text : "",
            sizeof(mitmdump->report.ca_error));
    return CAUSE_NONE;
}

static enum restart_cause look_listening(struct mitmdump *mitmdump, const uint32_t inodes[2],
                                         uint32_t waiting, struct error *why)
{
    if (mitmdump->report.state != MITM_LISTENING)
        begin_listening(mitmdump);
    memcpy(mitmdump->report.inodes, inodes, sizeof(mitmdump->report.inodes));
    mitmdump->deadline_ms = clock_ms() + (waiting > 0 ? LOOK_WAITING_MS : LOOK_LISTENING_MS);
    enum restart_cause cause = watch_queue(&mitmdump->report, waiting, why);
    return cause == CAUSE_NONE ? watch_ca(mitmdump, why) : cause;
}

/* A mitmdump that got too little processor time to start gets more time. */
static bool is_starved(const struct mitmdump *mitmdump, int64_t silent_ms)
{
    struct usage usage;
    return silent_ms < STARVED_LIMIT_MS && usage_read((uint32_t)mitmdump->pid, &usage) == 0 &&
           !usage.asleep && usage.cpu_seconds * 1000 < START_LIMIT_MS / 2;
}

static enum restart_cause look_silent(struct mitmdump *mitmdump, struct error *why)
{
    char text[STATE_ERROR_SIZE];
    int64_t now = clock_ms();
    if (mitmdump->report.state == MITM_LISTENING)
        mitmdump->silent_since_ms = now;
    mitmdump->deadline_ms = now + LOOK_FIRST_MS;
    bool is_first = mitmdump->last_end[0] == '\0';
    snprintf(text, sizeof(text), "%.180s%s%.180s", why->text,
             is_first ? "" : "; before that: ", mitmdump->last_end);
    report_state(&mitmdump->report, MITM_STARTING, text);
    int64_t silent_ms = now - mitmdump->silent_since_ms;
    if (silent_ms < START_LIMIT_MS || is_starved(mitmdump, silent_ms))
        return CAUSE_NONE;
    error_prefix(why, "did not listen within %" PRId64 " s", silent_ms / 1000);
    return CAUSE_START_TIMEOUT;
}

enum restart_cause mitmdump_look(struct mitmdump *mitmdump, struct error *why)
{
    uint32_t inodes[2] = {0};
    uint32_t waiting;
    if (find_listeners(mitmdump, inodes, &waiting, why) == 0 &&
        check_start_is_over(mitmdump, why) == 0)
        return look_listening(mitmdump, inodes, waiting, why);
    return look_silent(mitmdump, why);
}
