#ifndef SETUP_X509_CA_H
#define SETUP_X509_CA_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/* A certificate authority. What is not there is NULL. */
struct ca {
    EVP_PKEY *key;
    STACK_OF(X509) * certificates; /* the CA's own first, then those above it up to the root */

    /* Sent in place of the root, for clients that trust only the CA before this one: a certificate
     * by that CA with the root's name and key, then that CA's own chain. */
    STACK_OF(X509) * cross;

    STACK_OF(X509) * other_roots; /* further ones in ca.crt of CA_DIR, which are exported as well */
};

/* Reads a CA from PEM text: one private key and at least one certificate, in any order. 0, or -1
 * with error (78) which does not name the file. The caller frees it with ca_free in both cases. */
int ca_parse(const char *pem, size_t size, struct ca *ca, struct error *error);

/* The two halves of it, for a key and certificates in separate files. ca must be zero before. */
int ca_parse_key(const char *pem, size_t size, struct ca *ca, struct error *error);
int ca_parse_certificates(const char *pem, size_t size, struct ca *ca, struct error *error);

/* What mitmdump sends after a leaf: the certificates, but with cross in place of the root if there
 * is one. They belong to the CA; the stack is the caller's to free with sk_X509_free. NULL when
 * memory is out. */
STACK_OF(X509) * ca_sent(const struct ca *ca);

/* The file as mitmproxy keeps it, in newly allocated memory: the key (PKCS#8), then what is sent.
 * The caller clears it (explicit_bzero) and frees it. NULL with error. */
char *ca_to_pem(const struct ca *ca, size_t *size, struct error *error);

/* The CA's own certificate; it belongs to the CA. */
X509 *ca_certificate(const struct ca *ca);

/* The certificate that clients have to trust: the first self-signed one of the CA's, NULL if there
 * is none. It belongs to the CA. */
X509 *ca_root(const struct ca *ca);

/* The same for any certificates. */
X509 *certificates_root(const STACK_OF(X509) * certificates);

/* Sorts the certificates so that each was issued by the next, from the first one up to its root,
 * and removes all others. False, with nothing changed, if the first one leads to no root. */
bool ca_sort_chain(struct ca *ca);

bool certificate_has_expired(X509 *certificate);

/* When it ends, in seconds since 1970. */
int64_t certificate_end(X509 *certificate);

bool certificate_is_self_signed(X509 *certificate);

/* Are subject and issuer the same? Such a certificate does not count against a path length. */
bool certificate_is_self_issued(X509 *certificate);

/* Do they have the same name and the same key? */
bool certificates_are_of_one_ca(X509 *a, X509 *b);

/* Is it one of them? */
bool certificates_contain(const STACK_OF(X509) * certificates, X509 *certificate);

/* Certificates in PEM, in newly allocated memory which the caller frees. NULL with error. */
char *certificates_to_pem(const STACK_OF(X509) * certificates, size_t *size, struct error *error);

/* The certificates in PEM text, an empty stack for none; the caller frees it with
 * sk_X509_pop_free(..., X509_free). NULL with error for a damaged one. */
STACK_OF(X509) * certificates_from_pem(const char *pem, size_t size, struct error *error);

/* SHA-256 of the certificate's DER form in lower-case hex. */
void certificate_sha256(X509 *certificate, char hex[static 65]);

void ca_free(struct ca *ca);

/* OpenSSL's last reason, in words; its queue is empty then. */
const char *openssl_reason(void);

#endif
