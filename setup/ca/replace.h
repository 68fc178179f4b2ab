#ifndef SETUP_CA_REPLACE_H
#define SETUP_CA_REPLACE_H

#include <stdbool.h>

#include "setup/x509/ca.h"

/* new_ca takes the place of old_ca, which cross-signs its root, so that clients that trust only
 * old_ca's root accept new_ca, too. If both have the same root, new_ca takes over old_ca's cross
 * certificate. Logs a warning with path if such clients will not accept it. */
void ca_replace(struct ca *new_ca, struct ca *old_ca, const char *path);

/* For a CA just read from the confdir. If a cross certificate stands there in place of the root,
 * moves it and all after it from certificates to cross, and puts the root in its place. The root is
 * searched in roots, which has the likeliest first. */
void ca_separate_cross(struct ca *ca, const STACK_OF(X509) * roots);

/* Drops the cross certificate if it or one of its issuers has expired: some clients refuse a chain
 * with an expired certificate, whatever they trust. True if it was dropped. */
bool ca_drop_expired_cross(struct ca *ca);

#endif
