#ifndef SETUP_EXPORT_H
#define SETUP_EXPORT_H

#include <stddef.h>

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"

/* Writes what applications need to trust the CA into the export directory: the certificate (PEM
 * text of size bytes) and the merged bundle. Fills sha256 with the certificate's fingerprint. 0, or
 * -1 with error; files that were there before are whole in any case. */
int export_certificate(const struct config *config, const char *pem, size_t size,
                       char sha256[static STATE_SHA256_SIZE], struct error *error);

#define EXPORT_CERTIFICATE "mitmproxy-ca-cert.pem"
#define EXPORT_BUNDLE "merged-ca-certificates.pem"

#endif
