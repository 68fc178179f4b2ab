#ifndef SETUP_RECORD_PROGRESS_H
#define SETUP_RECORD_PROGRESS_H

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/state/state.h"

/* setup's half of the state file while setup works; its directory is opened once. */

/* Makes the state file's directory, takes over what an earlier run wrote that still holds, and
 * writes "running". *holds tells whether that run had finished, and installed rules. 0, or -1 with
 * error. */
int progress_begin(const struct config *config, struct state *state, bool *holds,
                   struct error *error);

/* For setup clear, which goes on where the state file cannot be written: the same without writing
 * anything, and with the lock of progress_lock, which is returned, or -1 with error. */
int progress_adopt(const struct config *config, struct state *state, struct error *error);

/* Opens the directory anew: while there was something to wait for, it may have been replaced. 0, or
 * -1 with error. */
int progress_resume(const struct config *config, struct error *error);

/* Waits until no other setup works, and takes over what it has written. Returns a descriptor,
 * closed to let the next one work, or -1 with error (69) after a minute. */
int progress_lock(struct state *state, struct error *error);

/* Writes the state that setup ends in. */
int progress_end(struct state *state, enum setup_state how, struct error *error);

/* Writes "failed" and why, as far as that can still be written. */
void progress_fail(struct state *state, const struct error *why);

#endif
