#ifndef SETUP_CA_SOURCE_H
#define SETUP_CA_SOURCE_H

#include "common/base/error.h"
#include "common/config/config.h"
#include "setup/ca/messages.h"
#include "setup/x509/ca.h"

/* Reads and checks the CA in MITMPROXY_CA_DIR, as setup has handed it over (setup/ca/messages.h):
 * tls.crt and tls.key (a Kubernetes TLS Secret), or mitmproxy-ca.pem; and ca.crt, where the chain
 * needs it and for further roots. Returns 1 with ca filled, for the caller to free with ca_free; 0
 * if no directory is configured; -1 with error that names the file. */
int ca_source_read(const struct config *config, const int *handed, struct ca *ca,
                   struct error *error);

#endif
