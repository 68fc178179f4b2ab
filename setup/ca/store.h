#ifndef SETUP_CA_STORE_H
#define SETUP_CA_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/mitmdump/ca_file.h"
#include "setup/trust/bundle.h"
#include "setup/x509/ca.h"

/* What was exported before. */
struct exported {
    const struct config *config;
    bool read_only;       /* of the export's volume; then no new CA is put in place */
    struct bundle *known; /* our roots that were exported */
};

/* The work in the confdir, as the mitmproxy user. Keeps the CA that is there, replaces it by source
 * (NULL for none) if that is another, or makes one. Adds the files that mitmproxy would otherwise
 * make or miss. source is changed. A new CA is refused if its root could not be exported. Returns
 * the roots that clients have to trust as PEM in newly allocated memory, without a key: the CA's,
 * then source's other ones. NULL with error. */
char *ca_store_prepare(const struct exported *exported, struct ca *source, size_t *size,
                       struct error *error);

#endif
