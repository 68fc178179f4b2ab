#ifndef SETUP_PREPARED_H
#define SETUP_PREPARED_H

#include <stdbool.h>

#include "common/config.h"
#include "common/state.h"
#include "setup/file_sum.h"

/* What the last `setup prepare` saw and left behind, as a file beside the state file: where all of
 * it is still so, there is nothing to prepare, and OpenSSL need not be loaded to find that out.
 * What counts is which files went in and came out and when the kernel says that they were last
 * changed, the content of those with a CA's key, this program and the environment. In doubt
 * prepare works in full. */

/* Is there nothing to prepare? Fills setup's CA keys of state then; and in any case inputs with the
 * digest of what prepare would read, for prepared_write. */
bool prepared_holds(const struct config *config, char inputs[static FILE_SUM_SIZE],
                    struct state *state);

/* Writes down what prepare has left behind, made from inputs as they were before, and that it holds
 * until then (seconds since 1970) at most. Where that cannot be done, or something has changed
 * meanwhile, the next prepare works in full. */
void prepared_write(const struct config *config, const char *inputs, const struct state *state,
                    int64_t until);

#endif
