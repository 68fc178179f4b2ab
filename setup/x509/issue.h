#ifndef SETUP_X509_ISSUE_H
#define SETUP_X509_ISSUE_H

#include "common/base/error.h"
#include "setup/x509/ca.h"

/* Makes a new CA: ECDSA P-256, valid from two days ago for ten years. 0, or -1 with error. The
 * caller frees it with ca_free. */
int ca_generate(struct ca *ca, struct error *error);

/* Makes a cross certificate: the root's name, key, key identifier and limits, signed by another CA,
 * whose certificate and key are issuer and signer. It ends when root or issuer does, whichever is
 * first. NULL with error; the caller frees it. */
X509 *certificate_cross_sign(X509 *root, X509 *issuer, EVP_PKEY *signer, struct error *error);

#endif
