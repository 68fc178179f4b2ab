#ifndef SETUP_CA_EXPORT_H
#define SETUP_CA_EXPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"
#include "setup/ca/ca.h"
#include "setup/export_names.h"

/* The export directory, and what goes there. */
struct exports {
    const struct config *config;
    int directory;
    bool read_only;         /* the volume */
    STACK_OF(X509) * known; /* what an earlier run has exported as roots of ours, NULL for none */
    STACK_OF(X509) * roots; /* the current one first */
    struct bundle *bundle;
};

/* Makes or claims the directory. 0, or -1 with error; else closed by the caller. */
int export_open(struct exports *exports, const struct config *config, struct error *error);

/* Writes all of setup/export_names.h from the CA's roots (PEM text of size bytes, at least one, the
 * current one first), once. Fills sha256 with the current root's fingerprint. 0, or -1 with error;
 * files that were there before are whole in any case. */
int export_roots(struct exports *exports, const char *pem, size_t size,
                 char sha256[static STATE_SHA256_SIZE], struct error *error);

void export_close(struct exports *exports);

#endif
