#ifndef SETUP_CA_STATUS_H
#define SETUP_CA_STATUS_H

#include "common/config/config.h"

/* Prints the exported roots to standard output. Returns how many things are wrong with them. sha256
 * is the fingerprint of the current root as setup recorded it. */
int ca_status_print(const struct config *config, const char *sha256);

#endif
