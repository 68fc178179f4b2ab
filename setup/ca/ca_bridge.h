#ifndef SETUP_CA_CA_BRIDGE_H
#define SETUP_CA_CA_BRIDGE_H

#include <stdbool.h>

#include "common/error.h"
#include "setup/ca/ca.h"

/* mitmproxy before 12.2.3 names its CA in a leaf by the SHA-1 of the CA's key. Clients do not find
 * a CA whose own subjectKeyIdentifier is another. A bridge leads there: a certificate of the CA's
 * own key that has the SHA-1 as identifier, issued by the CA itself. It comes first, so that
 * mitmdump issues in its name and sends it along. */

/* Is the identifier of the CA's first certificate another one than the SHA-1 of the key? */
bool ca_needs_bridge(const struct ca *ca);

/* Puts one in front if it is needed. 0, or -1 with error. Logs a warning with path in it where not
 * every client will follow it. */
int ca_bridge(struct ca *ca, const char *path, struct error *error);

bool certificate_is_bridge(X509 *certificate);

/* How many bridges come before the CA's own certificate: 0 or 1. */
int ca_bridges(const struct ca *ca);

#endif
