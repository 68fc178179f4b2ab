#ifndef SETUP_CA_CA_TRIAL_H
#define SETUP_CA_CA_TRIAL_H

#include "common/error.h"
#include "setup/ca/ca.h"

/* Would a client that trusts root alone accept what mitmdump issues with this CA, and sends along
 * with it? Tried on a leaf that is thrown away. 1; 0 with OpenSSL's reason in error; -1 with error
 * if it cannot be tried. */
int ca_try(const struct ca *ca, X509 *root, struct error *error);

#endif
