#include "healthd/responder/conditions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "healthd/link/usage.h"

/* Runner and workers show every second that they live. They are believed for this long. */
enum { PULSE_MS = 5000 };

static enum holding fails(char reason[static REASON_SIZE], const char *text)
{
    strlcpy(reason, text, REASON_SIZE);
    return FAILS;
}

static enum holding check_healthd(const struct facts *facts, char reason[static REASON_SIZE])
{
    return facts->stopping ? fails(reason, "healthd is stopping") : DOES_NOT_APPLY;
}

static enum holding check_state_file(const struct facts *facts, char reason[static REASON_SIZE])
{
    if (!facts->config->transparent)
        return DOES_NOT_APPLY;
    return facts->state_read ? HOLDS : fails(reason, facts->state_error.text);
}

/* With transparent mode off no rules are needed, and any that are there would refuse everything. */
static enum holding check_disabled(const struct facts *facts, char reason[static REASON_SIZE])
{
    struct error ignored;
    if (facts->state.rules == 0 || state_check_current(&facts->state, &ignored) != 0)
        return HOLDS;
    return fails(reason, "setup has installed redirect rules, but transparent mode is off here");
}

/* setup may have run with another environment than this process has. */
static enum holding check_agreement(const struct facts *facts, char reason[static REASON_SIZE])
{
    const struct state *state = &facts->state;
    const struct config *config = facts->config;
    if (state->rules > 0 && state->port != config->port) {
        snprintf(reason, REASON_SIZE,
                 "setup has redirected to port %u, but MITMPROXY_PORT is %u here", state->port,
                 config->port);
        return FAILS;
    }
    if (state->rules > 0 && state->user != config->user.uid) {
        snprintf(reason, REASON_SIZE,
                 "setup lets uid %u through, but MITMPROXY_USER is uid %u here", state->user,
                 config->user.uid);
        return FAILS;
    }
    return HOLDS;
}

static enum holding check_setup(const struct facts *facts, char reason[static REASON_SIZE])
{
    struct error error;
    if (!facts->config->transparent)
        return check_disabled(facts, reason);
    switch (facts->state.setup) {
    case SETUP_UNKNOWN:
        return fails(reason, facts->state_read ? "setup has not run (the state file has healthd's "
                                                 "half alone)"
                                               : "not known without the state file");
    case SETUP_FAILED:
        snprintf(reason, REASON_SIZE, "setup failed: %s", facts->state.setup_error);
        return FAILS;
    case SETUP_DISABLED:
        return fails(reason, "redirect rules missing: removed by setup clear, or setup ran with "
                             "transparent mode off");
    case SETUP_RUNNING:
    case SETUP_READY:
        break;
    }
    if (state_check_current(&facts->state, &error) != 0)
        return fails(reason, error.text);
    return check_agreement(facts, reason);
}

static enum holding check_ca_end(const struct facts *facts, char reason[static REASON_SIZE])
{
    time_t end = (time_t)facts->state.ca_expires;
    struct tm utc;
    char text[32];
    if (end == 0 || time(NULL) <= end || gmtime_r(&end, &utc) == NULL)
        return HOLDS;
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
    snprintf(reason, REASON_SIZE, "CA expired at %s", text);
    return FAILS;
}

static enum holding check_ca(const struct facts *facts, char reason[static REASON_SIZE])
{
    if (!facts->config->transparent)
        return DOES_NOT_APPLY;
    if (strcmp(facts->state.ca, "exported") != 0)
        return fails(reason, facts->state.setup == SETUP_RUNNING
                                 ? "setup is running: CA not exported yet"
                                 : "CA missing: not exported (setup prepare has not run)");
    /* A state file that was cut off after a whole line can still be read. */
    if (facts->state.ca_sha256[0] == '\0' || facts->state.ca_file_sha256[0] == '\0' ||
        facts->state.ca_expires == 0)
        return fails(reason, "the state file does not say which CA was exported: run setup again");
    if (facts->report->ca_error[0] != '\0')
        return fails(reason, facts->report->ca_error);
    return check_ca_end(facts, reason);
}

static enum holding check_runner(const struct facts *facts, char reason[static REASON_SIZE])
{
    if (!facts->config->transparent)
        return DOES_NOT_APPLY;
    int64_t silent_ms = facts->now_ms - facts->pulse->runner_ms;
    if (silent_ms < PULSE_MS)
        return HOLDS;
    snprintf(reason, REASON_SIZE,
             "healthd's runner is stopped or hangs: it has not looked after mitmdump for %" PRId64
             " s",
             silent_ms / 1000);
    return FAILS;
}

/* Asks the kernel, because the runner may not have noticed yet. */
static bool has_ended(uint32_t pid)
{
    struct usage usage;
    return usage_read(pid, &usage) != 0 || usage.ended;
}

/* A silent worker counts from its last beat, which only one that has started has. */
static enum holding check_workers(const struct facts *facts, char reason[static REASON_SIZE])
{
    for (unsigned int i = 0; i < facts->report->workers; i++) {
        const struct worker_pulse *worker = &facts->pulse->workers[i];
        int64_t beat_ms = worker->beat_ms, silent_ms = facts->now_ms - beat_ms;
        char which[40] = "";
        if (facts->report->workers > 1)
            snprintf(which, sizeof(which), "worker %u of %u ", i + 1, facts->report->workers);
        if (worker->pid == 0 || has_ended(worker->pid)) {
            snprintf(reason, REASON_SIZE, "mitmdump not listening: %shas ended", which);
            return FAILS;
        }
        if (beat_ms == 0 || silent_ms < PULSE_MS)
            continue;
        snprintf(reason, REASON_SIZE, "mitmdump hangs: %shas been silent for %" PRId64 " s", which,
                 silent_ms / 1000);
        return FAILS;
    }
    return HOLDS;
}

static enum holding check_mitmdump(const struct facts *facts, char reason[static REASON_SIZE])
{
    const struct report *report = facts->report;
    if (!facts->config->transparent)
        return DOES_NOT_APPLY;
    if (report->state == MITM_LISTENING)
        return check_workers(facts, reason);
    snprintf(reason, REASON_SIZE, "mitmdump not listening: %s%s%s", mitm_state_name(report->state),
             report->error[0] != '\0' ? ": " : "", report->error);
    return FAILS;
}

static enum holding check_rules(const struct facts *facts, char reason[static REASON_SIZE])
{
    if (!facts->config->transparent)
        return DOES_NOT_APPLY;
    if (facts->state.setup == SETUP_RUNNING)
        return fails(reason, facts->state.rules == 0
                                 ? "setup is running: redirect rules missing"
                                 : "setup is running, or was killed while it ran: run it again");
    if (facts->state.rules == 0)
        return fails(reason, "redirect rules missing (setup redirect has not run)");
    return HOLDS;
}

static enum holding check_probe(const struct probe *probe, const char *what,
                                char reason[static REASON_SIZE])
{
    if (!probe->wanted)
        return DOES_NOT_APPLY;
    if (probe->holds)
        return HOLDS;
    snprintf(reason, REASON_SIZE, "%s not in effect: %s", what, probe->error);
    return FAILS;
}

static enum holding check_canary_v4(const struct facts *facts, char reason[static REASON_SIZE])
{
    return check_probe(&facts->probes->canaries[0], "redirect rules", reason);
}

static enum holding check_canary_v6(const struct facts *facts, char reason[static REASON_SIZE])
{
    return check_probe(&facts->probes->canaries[1], "redirect rules", reason);
}

static enum holding check_guard_v4(const struct facts *facts, char reason[static REASON_SIZE])
{
    return check_probe(&facts->probes->guards[0], "guard rules", reason);
}

static enum holding check_guard_v6(const struct facts *facts, char reason[static REASON_SIZE])
{
    return check_probe(&facts->probes->guards[1], "guard rules", reason);
}

/* Is the name one of those, which are separated by ","? */
static bool is_named(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* Nobody without CAP_NET_ADMIN can ask the kernel for the gate: what setup has written down is
 * compared with the devices that there are. */
static enum holding check_gate(const struct facts *facts, char reason[static REASON_SIZE])
{
    const struct state *state = &facts->state;
    if (!facts->config->transparent)
        return DOES_NOT_APPLY;
    if (state->gate[0] == '\0') {
        snprintf(reason, REASON_SIZE, "a process with CAP_NET_RAW can go around the proxy: %s",
                 state->rules > 0 ? state->gate_error : "setup redirect has not run");
        return LACKS;
    }
    for (size_t i = 0; i < facts->devices.count; i++) {
        if (is_named(state->gate, facts->devices.items[i].name))
            continue;
        snprintf(reason, REASON_SIZE, "not at device %s: run setup redirect again",
                 facts->devices.items[i].name);
        return LACKS;
    }
    if (!facts->devices.more)
        return HOLDS;
    snprintf(reason, REASON_SIZE, "there are more devices than the %d at which it can stand",
             DEVICES_MAX);
    return LACKS;
}

const struct condition conditions[CONDITIONS] = {
    {"healthd", check_healthd},       {"state-file", check_state_file},
    {"setup", check_setup},           {"ca", check_ca},
    {"runner", check_runner},         {"mitmdump", check_mitmdump},
    {"rules", check_rules},           {"canary-ipv4", check_canary_v4},
    {"canary-ipv6", check_canary_v6}, {"guard-ipv4", check_guard_v4},
    {"guard-ipv6", check_guard_v6},   {"gate", check_gate},
};
