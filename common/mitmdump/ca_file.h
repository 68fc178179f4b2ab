#ifndef COMMON_MITMDUMP_CA_FILE_H
#define COMMON_MITMDUMP_CA_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* The file from which mitmdump reads its CA, key and certificates. mitmproxy chose the name. */
#define CA_FILE "mitmproxy-ca.pem"
enum { CA_FILE_MAX_BYTES = 256 * 1024, CA_FILE_SHA256_SIZE = 65 };

/* Identifies one version of the file. The hash is of the whole file; setup records that of the file
 * which it has checked. (The key cannot be guessed from it.) */
struct ca_file {
    struct stat identity;
    char sha256[CA_FILE_SHA256_SIZE]; /* lower-case hex */
};

/* Fills in its path. */
void ca_file_path(const struct config *config, char path[static PATH_MAX]);

/* Reads the file with the caller's rights and fills file. Returns its text, which the caller gives
 * to ca_file_release; NULL with error and errno. */
char *ca_file_read(const struct config *config, struct ca_file *file, size_t *size,
                   struct error *error);

/* Clears and frees a text that may hold a key, such as that of ca_file_read, or NULL. */
void ca_file_release(char *text, size_t size);

/* True while nobody has written or replaced the file since it was read, as far as stat(2) tells. */
bool ca_file_is_untouched(const struct config *config, const struct ca_file *file);

#endif
