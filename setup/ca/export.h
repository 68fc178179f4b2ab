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
    STACK_OF(X509) * known; /* other roots of CA_DIR, and those that an earlier run has exported */
    STACK_OF(X509) * roots; /* what is exported: the current one first */
    struct bundle *bundle;
};

/* Opens or makes the directory. other_roots (NULL for none) are exported beside the CA's root. 0,
 * or -1 with error; else closed by the caller. */
int export_open(struct exports *exports, const struct config *config,
                const STACK_OF(X509) * other_roots, struct error *error);

/* Writes all of setup/export_names.h, once: the CA's root (PEM text of size bytes), and all known
 * ones that have not expired. Fills sha256 with the CA's root's fingerprint. 0, or -1 with error;
 * files that were there before are whole in any case. */
int export_roots(struct exports *exports, const char *pem, size_t size,
                 char sha256[static STATE_SHA256_SIZE], struct error *error);

void export_close(struct exports *exports);

#endif
