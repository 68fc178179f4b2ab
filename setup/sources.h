#ifndef SETUP_SOURCES_H
#define SETUP_SOURCES_H

#include <stdbool.h>

/* The files that `setup prepare` reads from outside: what can be in CA_DIR besides
 * mitmproxy-ca.pem, ... */
#define SOURCE_CERTIFICATES "tls.crt"
#define SOURCE_KEY "tls.key"
#define SOURCE_ROOT "ca.crt"

/* ... and the roots that applications trust besides our CA: the system's bundle, where its
 * distribution keeps it, which is the first of these that has certificates (NULL behind the last
 * one), */
extern const char *const system_bundles[];

/* ... and of a hashed directory the files that have such a name (openssl-rehash(1)). */
bool is_hashed_name(const char *name);

#endif
