#include "healthd/runner/start.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "healthd/runner/command.h"

enum { START_MOST_MS = 10 * 1000 };

int start_init(struct start *start, const struct config *config, bool with_ipv6,
               struct error *error)
{
    *start = (struct start){0};
    start->quick = command_build(config, with_ipv6, &start->stock);
    if (start->quick != NULL)
        return 0;
    return error_set(error, 1, "mitmdump's command line: out of memory or too long");
}

char *const *start_begin(struct start *start)
{
    start->listens_since_ms = 0;
    return start->is_stock ? start->stock : start->quick;
}

bool start_is_over(struct start *start, const struct output *output, struct error *error)
{
    int64_t now = clock_ms();
    if (start->listens_since_ms == 0)
        start->listens_since_ms = now;
    if (output->start_is_over || now - start->listens_since_ms >= START_MOST_MS)
        return true;
    error_set(error, 1, "listens, but %s%s",
              output->last[0] != '\0' ? "has complained: " : "has not finished starting",
              output->last);
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
