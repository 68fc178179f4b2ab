#ifndef SETUP_CA_CA_ROTATE_H
#define SETUP_CA_CA_ROTATE_H

#include <stdbool.h>

#include "common/error.h"
#include "setup/ca/ca.h"

/* Gives the new CA the chain with which those clients accept it, too, that trust only old_root, the
 * old CA's: in place of the new root stands a certificate of its name and key by the old CA, then
 * the old CA's own chain. mitmdump sends all of it. Returns 1; 0 with the reason in error where the
 * old CA cannot vouch for the new one (new_ca is as it was); -1 with error. */
int ca_cross_sign(struct ca *new_ca, const struct ca *old_ca, X509 *old_root, struct error *error);

/* Where a chain goes on from a root to those that vouch for it: the place of the first certificate
 * of the root's name and key which is not self-signed; -1 if there is none. */
int chain_crossed_at(const STACK_OF(X509) * chain, X509 *root);

/* Gives a CA with the same root as the old one what vouches for that root in the old one's chain,
 * if anything does, and under the identifier that the new one has. 0, or -1 with error. */
int ca_keep_cross(struct ca *new_ca, const struct ca *old_ca, struct error *error);

/* Takes off what vouches for the CA's root, the first of roots, from the first certificate on that
 * has expired: some clients refuse what has an expired certificate in it, whatever they trust. True
 * if there was one. */
bool ca_drop_expired(struct ca *ca, const STACK_OF(X509) * roots);

#endif
