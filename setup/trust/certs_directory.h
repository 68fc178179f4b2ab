#ifndef SETUP_TRUST_CERTS_DIRECTORY_H
#define SETUP_TRUST_CERTS_DIRECTORY_H

#include <openssl/x509.h>
#include <stddef.h>

#include "common/base/error.h"

/* What is in it: each certificate under its hashed name (openssl-rehash(1)), all of them in one
 * file, and Java's trust store. */
struct certs_directory {
    const char *path; /* for messages */
    const STACK_OF(X509) * certificates;
    const void *bundle;
    size_t bundle_size;
    const void *truststore;
    size_t truststore_size;
};

/* Makes EXPORT_CERTS in an open directory one that can be mounted over /etc/ssl/certs, with exactly
 * these files. A program that reads it meanwhile finds every certificate that is in both the old
 * and the new one. 0, or -1 with error. */
int certs_directory_write(int parent, const struct certs_directory *certs, struct error *error);

#endif
