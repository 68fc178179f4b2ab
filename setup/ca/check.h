#ifndef SETUP_CA_CHECK_H
#define SETUP_CA_CHECK_H

#include "common/base/error.h"
#include "setup/x509/ca.h"

/* Is the CA fit for use, by mitmproxy and by the clients that trust its root? 0, or -1 with error
 * (78) that names the field and its value, but not the file. Logs warnings with path in them. */
int ca_check(const struct ca *ca, const char *path, struct error *error);

/* The two parts of it, for a key and certificates that come in separate files. Is the key fit for
 * use, and does it belong to the first certificate? (With RSA that takes some 0.2 s.) And are the
 * certificates fit for use? */
int ca_check_key(const struct ca *ca, struct error *error);
int ca_check_certificates(const struct ca *ca, const char *path, struct error *error);

/* Would clients accept what this CA issues if they trust only the CA before it, whose root is the
 * last of the cross certificates? 0, or -1 with error. */
int ca_check_cross(const struct ca *ca, struct error *error);

/* "2030-01-31 12:00:00 UTC" */
void time_to_text(const ASN1_TIME *when, char text[static 32]);

#endif
