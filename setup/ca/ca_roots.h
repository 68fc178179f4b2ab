#ifndef SETUP_CA_CA_ROOTS_H
#define SETUP_CA_CA_ROOTS_H

#include <stdbool.h>

#include "common/error.h"
#include "setup/ca/ca.h"
#include "setup/ca/confdir.h"

/* What clients have to trust, the current root first, then earlier ones that have not expired: kept
 * in two files of the confdir. Each function that returns a stack returns a new one, for the caller
 * to free with sk_X509_pop_free(..., X509_free). */

/* The roots of the CA that is there, after a check (ca_check) of that CA as clients see it that
 * trust its own root, if it must be good. A root whose file is lost is among the known ones. NULL
 * with error. */
STACK_OF(X509) * roots_read(const struct confdir *confdir, const struct ca *ca,
                            const STACK_OF(X509) * known, bool must_be_good, const char *path,
                            struct error *error);

/* Current (NULL for none) and those of earlier (NULL for none) that have not expired. NULL with
 * error. */
STACK_OF(X509) * roots_make(X509 *current, const STACK_OF(X509) * earlier, struct error *error);

/* Writes them: those before first, so that after an end between two files roots_read still finds
 * the root of the CA that is in place. 0, or -1 with error. */
int roots_write(const struct confdir *confdir, const STACK_OF(X509) * roots, struct error *error);

#endif
