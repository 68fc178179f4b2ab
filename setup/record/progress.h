#ifndef SETUP_RECORD_PROGRESS_H
#define SETUP_RECORD_PROGRESS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/state/state.h"

/* setup's half of the state file while setup works. */
struct progress {
    struct state_place place; /* of the state file; its directory is -1 until it is open */
    struct state state;
    bool was_ready; /* an earlier run had finished, and installed rules */
};

/* Opens or makes the state file's directory. Also to be called after a wait, since it may have been
 * replaced meanwhile. 0, or -1 with error. */
int progress_resume(const struct config *config, struct progress *progress, struct error *error);

/* The same; then takes over what an earlier run wrote that still holds, and writes "running". 0, or
 * -1 with error. */
int progress_begin(const struct config *config, struct progress *progress, struct error *error);

/* Waits until no other setup works, and takes over what it has written. Returns a descriptor, which
 * the caller closes to release the lock, or -1 with error (69 after a minute). */
int progress_lock(struct progress *progress, struct error *error);

/* Writes this state, without an error. */
int progress_write(struct progress *progress, enum setup_state how, struct error *error);

/* Writes "failed" and why, as far as that can still be written. */
void progress_fail(struct progress *progress, const struct error *why);

#endif
