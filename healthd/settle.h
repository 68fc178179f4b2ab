#ifndef HEALTHD_SETTLE_H
#define HEALTHD_SETTLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A mitmdump that ends for a bad addon or option complains, listens for a moment, and ends. Where
 * started.py does not tell that this moment is over, one that has complained counts only when it
 * has listened for a second, and has been quiet for the last half of it: on a busy machine the
 * moment is long, but one that is about to end works, or waits for a processor. After 10 s it
 * counts in any case; a mitmproxy in which started.py does not work is not known. */
struct settle {
    int64_t since_ms; /* since when it listens, 0 for not yet */
    int64_t quiet_since_ms;
    double cpu_seconds;
};

/* Looks at the process; all zero before the first look. True if it counts now. tells: it is to be
 * waited for what started.py says. */
bool settle_look(struct settle *settle, pid_t pid, bool tells);

#endif
