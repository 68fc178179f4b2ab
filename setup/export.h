#ifndef SETUP_EXPORT_H
#define SETUP_EXPORT_H

#include <stddef.h>

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"

/* What applications need to trust the CA, in the export directory. Never a key. */
#define EXPORT_CERTIFICATE "mitmproxy-ca-cert.pem"   /* the current root */
#define EXPORT_ROOTS "mitmproxy-ca-roots.pem"        /* it, and earlier ones that still count */
#define EXPORT_BUNDLE "merged-ca-certificates.pem"   /* those, the system's and the upstream's */
#define EXPORT_TRUSTSTORE "mitmproxy-truststore.p12" /* the bundle for Java */
#define EXPORT_HASHED "certs"                        /* the bundle as a hashed directory */
#define EXPORT_ENVIRONMENT "trust.env"
#define EXPORT_WGETRC "wgetrc"

/* Writes all of them from the CA's roots (PEM text of size bytes, the current one first). Fills
 * sha256 with the current root's fingerprint. 0, or -1 with error; files that were there before are
 * whole in any case. */
int export_roots(const struct config *config, const char *pem, size_t size,
                 char sha256[static STATE_SHA256_SIZE], struct error *error);

#endif
