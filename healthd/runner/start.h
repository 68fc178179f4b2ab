#ifndef HEALTHD_RUNNER_START_H
#define HEALTHD_RUNNER_START_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "healthd/runner/output.h"

/* How mitmdump is started, and when its start is over. */
struct start {
    char **quick; /* the command line, with quick_start.py if that is possible */
    char **stock; /* the part of it that starts mitmdump directly */
    bool is_stock;
    int64_t listens_since_ms; /* of the mitmdump that is being started; 0: not yet */
};

/* Makes the command lines. 0, or -1 with error. */
int start_init(struct start *start, const struct config *config, bool with_ipv6,
               struct error *error);

/* Prepares for the next mitmdump. Returns its command line. */
char *const *start_begin(struct start *start);

/* Is the start of a mitmdump that listens over? output is what it has printed. If not, error says
 * so. mitmdump listens for a moment even if a bad addon or option then ends it; the line of
 * started.py says that it will stay. After 10 s the start is over in any case: an addon may never
 * end its own. */
bool start_is_over(struct start *start, const struct output *output, struct error *error);

/* To be called if mitmdump ended before its start was over. quick_start.py may be the cause, so the
 * next start is without it. If that fails, too, it was something else, and quick_start.py is used
 * again. */
void start_failed(struct start *start);

#endif
