#ifndef SETUP_CA_RECORD_H
#define SETUP_CA_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/mitmdump/ca_file.h"

/* What setup writes down of the CA that it has checked, for healthd. */
struct ca_record {
    char file_sha256[CA_FILE_SHA256_SIZE];
    int64_t expires; /* seconds since 1970: when the first certificate that clients need ends */
};

/* Reads the CA's file in the confdir with the caller's rights. root_pem is the CA's root. 0, or -1
 * with error. */
int ca_record_make(const struct config *config, const char *root_pem, size_t root_size,
                   struct ca_record *record, struct error *error);

#endif
