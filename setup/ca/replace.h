#ifndef SETUP_CA_REPLACE_H
#define SETUP_CA_REPLACE_H

#include <stdbool.h>

#include "setup/x509/ca.h"

/* new_ca takes the place of old_ca: its root is cross-signed by old_ca, so that clients that trust
 * only old_ca's root accept it, too. Where both have the same root, the cross certificate of old_ca
 * becomes that of new_ca. A warning, with path in it, says where clients will not accept it. */
void ca_replace(struct ca *new_ca, struct ca *old_ca, const char *path);

/* For a CA that was just read from the confdir, where a cross certificate stands in the place of
 * the root: moves it, and what follows it, from certificates to cross, and puts the root in its
 * place. The root is among the given ones, the likeliest first. */
void ca_separate_cross(struct ca *ca, const STACK_OF(X509) * roots);

/* Takes the cross certificate away if it or its issuers have expired: some clients refuse what has
 * an expired certificate in it, whatever they trust. True if that was so. */
bool ca_drop_expired_cross(struct ca *ca);

#endif
