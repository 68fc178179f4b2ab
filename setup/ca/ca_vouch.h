#ifndef SETUP_CA_CA_VOUCH_H
#define SETUP_CA_CA_VOUCH_H

#include "common/error.h"
#include "setup/ca/ca.h"

/* Has the old CA vouch for the new one, if they have not the same root, so that clients go on which
 * trust only one of the old roots (the current one first, then earlier ones). Warns, with path, of
 * those who will not accept the new CA, or not for as long as they could. 0, or -1 with error. */
int ca_vouch(struct ca *new_ca, const struct ca *old_ca, const STACK_OF(X509) * old_roots,
             const char *path, struct error *error);

/* Warns of those of the earlier roots (the first one is the current one) whose clients do not
 * accept the CA, but did accept the one before (NULL: any): what leads to them was in a chain of
 * which not all may be left. 0, or -1 with error. */
int ca_warn_of_lost(const struct ca *ca, const struct ca *before, const STACK_OF(X509) * roots,
                    const char *path, struct error *error);

#endif
