#ifndef SETUP_MODULE_H
#define SETUP_MODULE_H

#include "common/error.h"

/* The parts of setup that need a large library are modules, so that what does without pays nothing
 * for them: to load OpenSSL and libnftables takes longer than to write and prove the rules.
 * Modules are beside the program, or in ../lib/opensandbox-egress from there. */
#define CA_MODULE "setup-ca.so"   /* setup/ca, with OpenSSL */
#define NFT_MODULE "setup-nft.so" /* setup/nft, with libnftables */

/* The object of that name in a module, which stays loaded. NULL with error. */
const void *module_find(const char *module, const char *name, struct error *error);

#endif
