#ifndef SETUP_TRUST_BUNDLE_H
#define SETUP_TRUST_BUNDLE_H

#include <openssl/x509.h>
#include <stddef.h>

/* Certificates, each once, in the order in which they came. */
struct bundle;

/* NULL when memory is out; freed with bundle_free. */
struct bundle *bundle_new(void);
void bundle_free(struct bundle *bundle);

/* Adds a certificate, unless it is in the bundle. 0, or -1 when memory is out. */
int bundle_add(struct bundle *bundle, X509 *certificate);

/* The next functions read PEM text. They skip other blocks than certificates, and log how many
 * damaged certificates a file has. */

/* Adds those in a text. path is for the message; NULL: no message. Returns how many it found. */
size_t bundle_add_pem(struct bundle *bundle, const char *pem, size_t size, const char *path);

/* Adds the roots of the system, from where its distribution keeps them. Returns how many. */
size_t bundle_add_system_roots(struct bundle *bundle);

/* Adds the certificates of an OpenSSL hashed directory (HHHHHHHH.N) in the order of their names.
 * Returns how many. */
size_t bundle_add_directory(struct bundle *bundle, const char *path);

/* All of them; they belong to the bundle. */
STACK_OF(X509) * bundle_certificates(const struct bundle *bundle);

#endif
