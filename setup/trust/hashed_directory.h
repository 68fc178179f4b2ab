#ifndef SETUP_TRUST_HASHED_DIRECTORY_H
#define SETUP_TRUST_HASHED_DIRECTORY_H

#include <openssl/x509.h>

#include "common/base/error.h"

/* Makes name in an open directory an OpenSSL hashed directory (openssl-rehash(1)) of exactly these
 * certificates. A program that reads it meanwhile finds every certificate that is in both the old
 * and the new one. path stands in messages. 0, or -1 with error. */
int hashed_directory_write(int parent, const char *name, const STACK_OF(X509) * certificates,
                           const char *path, struct error *error);

#endif
