#ifndef SETUP_CA_EXPORT_H
#define SETUP_CA_EXPORT_H

#include <stddef.h>

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"
#include "setup/export_names.h"

/* Writes all of setup/export_names.h from the CA's roots (PEM text of size bytes, the current one
 * first). Fills sha256 with the current root's fingerprint. 0, or -1 with error; files that were
 * there before are whole in any case. */
int export_roots(const struct config *config, const char *pem, size_t size,
                 char sha256[static STATE_SHA256_SIZE], struct error *error);

#endif
