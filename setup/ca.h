#ifndef SETUP_CA_H
#define SETUP_CA_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>

#include "common/error.h"

/* A certificate authority as mitmproxy keeps one in mitmproxy-ca.pem. */
struct ca {
    EVP_PKEY *key;
    STACK_OF(X509) * certificates; /* the first one is the CA's own, further ones its chain */
};

/* Makes a new CA: ECDSA P-256, valid from two days ago for ten years. 0, or -1 with error. The
 * caller frees it with ca_free. */
int ca_generate(struct ca *ca, struct error *error);

/* Reads a CA from PEM text: one private key and at least one certificate, in any order. 0, or -1
 * with error (78) which does not name the file. The caller frees it with ca_free in both cases. */
int ca_parse(const char *pem, size_t size, struct ca *ca, struct error *error);

/* Is it fit for use: does the key match, is the certificate a CA's and valid now? 0, or -1 with
 * error (78). Logs a warning from 30 days before the end, with path in it. */
int ca_check(const struct ca *ca, const char *path, struct error *error);

/* The key (PKCS#8), then the certificates, as PEM in newly allocated memory; the caller clears it
 * (explicit_bzero) and frees it. NULL with error. */
char *ca_to_pem(const struct ca *ca, size_t *size, struct error *error);

/* One certificate in PEM, in newly allocated memory which the caller frees. NULL with error. */
char *certificate_to_pem(X509 *certificate, size_t *size, struct error *error);

/* The first certificate in PEM text, or NULL; the caller frees it with X509_free. */
X509 *certificate_from_pem(const char *pem, size_t size);

/* SHA-256 of the certificate's DER form in lower-case hex. */
void certificate_sha256(X509 *certificate, char hex[static 65]);

void ca_free(struct ca *ca);

#endif
