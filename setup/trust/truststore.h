#ifndef SETUP_TRUST_TRUSTSTORE_H
#define SETUP_TRUST_TRUSTSTORE_H

#include <openssl/x509.h>
#include <stddef.h>

#include "common/base/error.h"

/* The password that Java's own trust store has. It protects nothing secret. */
#define TRUSTSTORE_PASSWORD "changeit"

/* A Java trust store (PKCS#12, DER) of the certificates, in newly allocated memory which the caller
 * frees. The same certificates give the same bytes. NULL with error. */
unsigned char *truststore_make(const STACK_OF(X509) * certificates, size_t *size,
                               struct error *error);

#endif
