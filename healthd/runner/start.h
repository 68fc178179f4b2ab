#ifndef HEALTHD_RUNNER_START_H
#define HEALTHD_RUNNER_START_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "healthd/runner/output.h"

/* How mitmdump is started, and when its start is over. */
struct start {
    char **quick; /* its command line, by quick_start.py where that can be */
    char **stock; /* as mitmdump comes */
    bool is_stock;
    int64_t listens_since_ms; /* the one that is being started; 0: not yet */
};

/* Makes the command lines. 0, or -1 with error. */
int start_init(struct start *start, const struct config *config, bool with_ipv6,
               struct error *error);

/* Begins with the next mitmdump: returns what it is to be started by. */
char *const *start_begin(struct start *start);

/* Is the start of this mitmdump over, which listens and has printed that? If not, error says so.
 * One that ends for a bad addon or option listens for a moment before; started.py tells when it
 * will not. After 10 s it counts in any case: an addon may never end its start. */
bool start_is_over(struct start *start, const struct output *output, struct error *error);

/* It has ended before that. Should it be quick_start.py that this mitmdump cannot be started by,
 * the next one does without; and if that one ends as well, it was something else. */
void start_failed(struct start *start);

#endif
