#ifndef SETUP_CA_CA_H
#define SETUP_CA_CA_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
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

/* The halves of it, for a key and certificates that come apart: ca is zeroed before the first. */
int ca_parse_key(const char *pem, size_t size, struct ca *ca, struct error *error);
int ca_parse_certificates(const char *pem, size_t size, struct ca *ca, struct error *error);

/* The key (PKCS#8), then the certificates, as PEM in newly allocated memory; the caller clears it
 * (explicit_bzero) and frees it. NULL with error. */
char *ca_to_pem(const struct ca *ca, size_t *size, struct error *error);

/* The CA's own certificate; it belongs to the CA. */
X509 *ca_certificate(const struct ca *ca);

/* The certificate that clients have to trust: the first self-signed one of the CA's, NULL if there
 * is none. It belongs to the CA. */
X509 *ca_root(const struct ca *ca);

/* What certificate_issue makes a certificate of. */
struct issue {
    X509 *subject;               /* whose name and key it gets, or NULL for a new name */
    EVP_PKEY *key;               /* the new key, where subject is NULL */
    const X509_NAME *name;       /* NULL: the subject's */
    X509 *issuer;                /* NULL: self-signed */
    EVP_PKEY *signer;            /* the issuer's key */
    const ASN1_TIME *not_before; /* NULL: two days ago */
    const ASN1_TIME *not_after;  /* NULL: in ten years */
    bool leaf;                   /* not a CA's */
    bool hash_identifier;        /* the SHA-1 of the key, even if the subject has another one */
};

/* Makes a certificate. NULL with error; the caller frees it. */
X509 *certificate_issue(const struct issue *issue, struct error *error);

bool certificate_is_self_signed(X509 *certificate);

/* Are subject and issuer one? Such a certificate does not count against a path length. */
bool certificate_is_self_issued(X509 *certificate);

/* By name and signature. */
bool certificate_is_issued_by(X509 *certificate, X509 *issuer);

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
