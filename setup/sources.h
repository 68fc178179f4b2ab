#ifndef SETUP_TRUST_SOURCES_H
#define SETUP_TRUST_SOURCES_H

#include <stdbool.h>

/* Where the roots come from that applications trust besides our CA. */

/* The system's bundle, where its distribution keeps it: the first of these that has certificates.
 * NULL behind the last one. */
extern const char *const system_bundles[];

/* Is it a name that OpenSSL looks for in a hashed directory (openssl-rehash(1))? */
bool is_hashed_name(const char *name);

#endif
