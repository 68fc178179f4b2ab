#include "healthd/start.h"

#include <limits.h>

#include "common/addons.h"
#include "common/clock.h"
#include "common/log.h"
#include "healthd/command.h"
#include "healthd/usage.h"

enum { LEAST_MS = 1000, QUIET_MS = 500, MOST_MS = 10 * 1000 };

int start_init(struct start *start, const struct config *config, bool with_ipv6,
               struct error *error)
{
    char path[PATH_MAX];
    *start = (struct start){0};
    start->tells = addons_shipped(config, ADDON_STARTED, path);
    start->quick = command_build(config, with_ipv6, &start->stock);
    if (start->quick != NULL)
        return 0;
    return error_set(error, 1, "mitmdump's command line: out of memory or too long");
}

char *const *start_begin(struct start *start)
{
    start->listens_since_ms = 0;
    start->quiet_since_ms = 0;
    start->cpu_seconds = 0;
    return start->is_stock ? start->stock : start->quick;
}

/* Has it listened for long enough, and been quiet? */
static bool has_settled(struct start *start, pid_t pid, bool tells)
{
    struct usage usage;
    int64_t now = clock_ms();
    bool known = usage_read((uint32_t)pid, &usage) == 0;
    if (start->listens_since_ms == 0)
        start->listens_since_ms = now;
    if (!known || !usage.asleep || usage.cpu_seconds > start->cpu_seconds) {
        start->quiet_since_ms = now;
        start->cpu_seconds = known ? usage.cpu_seconds : 0;
    }
    int64_t listens_ms = now - start->listens_since_ms;
    return listens_ms >= MOST_MS ||
           (!tells && listens_ms >= LEAST_MS && now - start->quiet_since_ms >= QUIET_MS);
}

bool start_is_over(struct start *start, const struct output *output, pid_t pid, struct error *error)
{
    bool tells = start->tells && output->start != START_CANNOT_BE_SEEN;
    bool complains = output->last[0] != '\0';
    if (output->start == START_IS_OVER || (!tells && !complains) || has_settled(start, pid, tells))
        return true;
    error_set(error, 1, "listens, but %s%s",
              complains ? "has complained: " : "has not ended its start", output->last);
    return false;
}

void start_failed(struct start *start)
{
    if (start->quick == start->stock)
        return;
    start->is_stock = !start->is_stock;
    log_info("mitmdump ended in its start: the next one is started %s quick_start.py",
             start->is_stock ? "without" : "by");
}
