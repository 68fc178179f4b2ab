#include "healthd/responder/readiness.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "common/base/characters.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "healthd/responder/conditions.h"

enum {
    FRESH_MS = 10, /* a verdict is used again for so long, which bounds the cost of many requests */
    WARN_EVERY_MS = 24 * 60 * 60 * 1000,
    WARN_BEFORE_S = 30 * 24 * 60 * 60,
};

static void read_state_file(struct facts *facts)
{
    const char *path = facts->config->state_file;
    struct error *error = &facts->state_error;
    facts->state_read = state_read(path, facts->config->user.uid, &facts->state, error) == 0;
    if (facts->state_read)
        return;
    if (errno == ENOENT)
        error_set(error, 1, "no state file %s: setup has not run", path);
    else
        error_prefix(error, "state file");
}

static void gather(const struct readiness *readiness, struct facts *facts)
{
    struct error ignored;
    memset(facts, 0, sizeof(*facts));
    facts->config = readiness->config;
    facts->report = &readiness->report;
    facts->probes = &readiness->probes;
    facts->stopping = readiness->stopping;
    facts->now_ms = clock_ms();
    facts->pulse = readiness->pulse;
    read_state_file(facts);
    if (facts->state.rules > 0 && devices_read(readiness->route, &facts->devices, &ignored) != 0)
        facts->devices.count = 0;
}

static void judge(struct readiness *readiness, const struct facts *facts)
{
    struct verdict *verdict = &readiness->verdict;
    verdict->ready = true;
    for (size_t i = 0; i < CONDITIONS; i++) {
        char *reason = verdict->conditions[i].reason;
        verdict->conditions[i].holding = conditions[i].check(facts, reason);
        if (verdict->conditions[i].holding < FAILS)
            continue;
        make_printable(reason); /* it may quote a file or a program, and be cut */
        if (verdict->conditions[i].holding == LACKS)
            continue;
        if (verdict->ready)
            verdict->reason = reason;
        verdict->ready = false;
    }
    verdict->ca_expires = facts->state.ca_expires;
}

const struct verdict *readiness_judge(struct readiness *readiness)
{
    static struct facts facts;
    int64_t now = clock_ms();
    if (readiness->changed || readiness->judged_ms == 0 || now - readiness->judged_ms >= FRESH_MS) {
        gather(readiness, &facts);
        judge(readiness, &facts);
        readiness->changed = false;
        readiness->judged_ms = now;
    }
    return &readiness->verdict;
}

void verdict_print(const struct verdict *verdict, struct text *out)
{
    for (size_t i = 0; i < CONDITIONS; i++) {
        enum holding holding = verdict->conditions[i].holding;
        /* While healthd stops nothing else matters. */
        if (holding == DOES_NOT_APPLY || (i > 0 && verdict->conditions[0].holding == FAILS))
            continue;
        if (holding == HOLDS)
            text_add(out, "[+]%s ok\n", conditions[i].name);
        else
            text_add(out, holding == FAILS ? "[-]%s failed: %s\n" : "[!]%s missing: %s\n",
                     conditions[i].name, verdict->conditions[i].reason);
    }
    text_add(out, "healthz check %s\n", verdict->ready ? "passed" : "failed");
}

void readiness_warn(struct readiness *readiness)
{
    int64_t end = readiness_judge(readiness)->ca_expires;
    int64_t left = end - (int64_t)time(NULL);
    if (end == 0 || left > WARN_BEFORE_S || clock_ms() < readiness->warn_again_ms)
        return;
    readiness->warn_again_ms = clock_ms() + WARN_EVERY_MS;
    log_warn("the CA %s %" PRId64 " days%s", left < 0 ? "has expired" : "expires in",
             left < 0 ? -left / 86400 : left / 86400, left < 0 ? " ago" : "");
}
