#ifndef SETUP_CA_STORE_H
#define SETUP_CA_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/mitmdump/ca_file.h"
#include "setup/trust/bundle.h"
#include "setup/x509/ca.h"

/* What is exported so far. */
struct exported {
    const struct config *config;
    bool read_only;       /* the volume: nothing that the export cannot follow is put in place */
    struct bundle *known; /* the roots of ours */
};

/* The work in the confdir, done by a process that is the mitmproxy user: keeps the CA that is
 * there, puts source (NULL for none) in its place if that is another one, or generates one; and
 * completes the files that mitmproxy would otherwise make or miss. source is changed. No other CA
 * is put in place where the export cannot take its root. Returns the roots that clients have to
 * trust as PEM in newly allocated memory (the key stays behind): the CA's, then source's other
 * ones. NULL with error. */
char *ca_store_prepare(const struct exported *exported, struct ca *source, size_t *size,
                       struct error *error);

#endif
