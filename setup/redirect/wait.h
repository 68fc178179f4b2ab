#ifndef SETUP_REDIRECT_WAIT_H
#define SETUP_REDIRECT_WAIT_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/config/config.h"

struct wait {
    unsigned int seconds; /* at most; 0: do not wait */
    bool endless;         /* with a parent, wait as long as it lives */
    pid_t parent;         /* give up when this is no longer the parent process; 0: never */
};

/* Waits until healthd says, by the state file, that all workers have started. 0, or -1 with error
 * (69). */
int wait_for_mitmdump(const struct config *config, const struct wait *wait, struct error *error);

#endif
