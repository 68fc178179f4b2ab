#ifndef SETUP_TRUST_EXPORT_H
#define SETUP_TRUST_EXPORT_H

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/state/state.h"

/* Writes all of setup/trust/export_names.h into the open export directory: the CA's roots, which
 * are read from in to its end (PEM, at least one, the current one first), and those that were
 * exported before and have not expired. The system's roots are read before the CA's, which may take
 * a while to come. Fills sha256 with the current root's fingerprint. 0, or -1 with error; files
 * that were there before are whole in any case. */
int export_roots(const struct config *config, int directory, int in,
                 char sha256[static STATE_SHA256_SIZE], struct error *error);

#endif
