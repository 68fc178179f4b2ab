#ifndef SETUP_TRUST_EXPORT_NAMES_H
#define SETUP_TRUST_EXPORT_NAMES_H

/* What applications need to trust the CA, in the export directory. Never a key. */
#define EXPORT_CERTIFICATE "mitmproxy-ca-cert.pem"   /* the current root */
#define EXPORT_ROOTS "mitmproxy-ca-roots.pem"        /* it and earlier ones, not expired */
#define EXPORT_BUNDLE "merged-ca-certificates.pem"   /* these, the system's and the upstream's */
#define EXPORT_TRUSTSTORE "mitmproxy-truststore.p12" /* the bundle for Java */
#define EXPORT_CERTS "certs"                         /* the bundle for /etc/ssl/certs */
#define EXPORT_ENVIRONMENT "trust.env"               /* variables that name these files */
#define EXPORT_SHELL "trust.sh"                      /* the same for shells */
#define EXPORT_WGETRC "wgetrc"                       /* files that variables name: wget, wget2 */
#define EXPORT_APT "apt.conf"                        /* apt */
#define EXPORT_PHP "php.ini"                         /* PHP */

/* All but the first two, which setup reads again. */
#define EXPORT_OTHERS                                                                              \
    EXPORT_BUNDLE, EXPORT_TRUSTSTORE, EXPORT_CERTS, EXPORT_ENVIRONMENT, EXPORT_SHELL,              \
        EXPORT_WGETRC, EXPORT_APT, EXPORT_PHP

/* In EXPORT_CERTS, beside the hashed names: where Debian and Alpine keep them in /etc/ssl/certs. */
#define CERTS_BUNDLE "ca-certificates.crt"
#define CERTS_JAVA "java"
#define CERTS_JAVA_STORE "cacerts"

/* Of all roots together, as PEM. */
enum { ROOTS_MAX_BYTES = 256 * 1024 };

#endif
