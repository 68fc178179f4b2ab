#ifndef SETUP_CA_ROTATE_H
#define SETUP_CA_ROTATE_H

#include "common/error.h"
#include "setup/ca.h"

/* Gives the new CA the chain with which those clients accept it, too, that trust only the old one's
 * root (old_root): a certificate of the new key by the old CA, then the old CA's own chain.
 * mitmdump sends all of it. Returns 1; 0 with the reason in error where the old CA cannot vouch for
 * the new one (new is as it was); -1 with error. */
int ca_cross_sign(struct ca *new_ca, const struct ca *old_ca, X509 *old_root, struct error *error);

#endif
