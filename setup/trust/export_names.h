#ifndef SETUP_TRUST_EXPORT_NAMES_H
#define SETUP_TRUST_EXPORT_NAMES_H

/* What applications need to trust the CA, in the export directory. Never a key. */
#define EXPORT_CERTIFICATE "mitmproxy-ca-cert.pem"   /* the current root */
#define EXPORT_ROOTS "mitmproxy-ca-roots.pem"        /* it and earlier ones, not expired */
#define EXPORT_BUNDLE "merged-ca-certificates.pem"   /* these, the system's and the upstream's */
#define EXPORT_TRUSTSTORE "mitmproxy-truststore.p12" /* the bundle for Java */
#define EXPORT_HASHED "certs"                        /* the bundle as a hashed directory */
#define EXPORT_ENVIRONMENT "trust.env"
#define EXPORT_WGETRC "wgetrc"

/* Of all roots together, as PEM. */
enum { ROOTS_MAX_BYTES = 256 * 1024 };

#endif
