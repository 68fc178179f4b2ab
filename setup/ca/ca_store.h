#ifndef SETUP_CA_CA_STORE_H
#define SETUP_CA_CA_STORE_H

#include <stddef.h>

#include "common/ca_file.h"
#include "common/error.h"
#include "setup/ca/ca.h"
#include "setup/ca/export.h"

/* The work in the confdir, done by a process that is the mitmproxy user: keeps the CA that is
 * there, puts source (NULL for none) in its place if that is another one, or generates one; and
 * completes the files that mitmproxy would otherwise make or miss. source is changed. No other CA
 * is put in place where exports cannot take its root. Returns the CA's root as PEM in newly
 * allocated memory (the key stays behind), or NULL with error. */
char *ca_store_prepare(const struct exports *exports, struct ca *source, size_t *size,
                       struct error *error);

#endif
