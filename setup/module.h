#ifndef SETUP_MODULE_H
#define SETUP_MODULE_H

#include <limits.h>

#include "common/error.h"

/* The parts of setup that need a large library are modules, so that what does without pays nothing
 * for them: to load OpenSSL and libnftables takes longer than to write and prove the rules. Modules
 * are beside the program, or in ../lib/opensandbox-egress from there. */
#define CA_MODULE "setup-ca.so"   /* setup/ca, with OpenSSL */
#define NFT_MODULE "setup-nft.so" /* setup/nft, with libnftables */

/* Each has one object for setup, a structure that begins with this. */
struct module {
    const char *version; /* VERSION: they are of one build */
};

/* The object of that name in a module, which stays loaded. NULL with error. */
const void *module_find(const char *module, const char *name, struct error *error);

/* Where a module is. */
enum { MODULE_PATH_SIZE = PATH_MAX + 64 };
void module_path(const char *module, char path[static MODULE_PATH_SIZE]);

#endif
