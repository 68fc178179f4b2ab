#ifndef COMMON_MITMDUMP_CA_FILE_H
#define COMMON_MITMDUMP_CA_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* The file that mitmdump takes its CA from, key and certificates, by mitmproxy's name. */
#define CA_FILE "mitmproxy-ca.pem"
enum { CA_FILE_MAX_BYTES = 256 * 1024, CA_FILE_SHA256_SIZE = 65 };

/* Which one it is. The hash is of the whole file: setup writes it down as that of the file which it
 * has checked. (There is no guessing a key from it.) */
struct ca_file {
    struct stat identity;
    char sha256[CA_FILE_SHA256_SIZE]; /* lower-case hex */
};

/* Its path, for messages. */
void ca_file_path(const struct config *config, char path[static PATH_MAX]);

/* Reads it as whoever calls. Returns its text, which the caller gives to ca_file_release, and fills
 * file; NULL with error and errno. */
char *ca_file_read(const struct config *config, struct ca_file *file, size_t *size,
                   struct error *error);

/* Clears and frees a text that may have a key in it, as ca_file_read returns one, or NULL. */
void ca_file_release(char *text, size_t size);

/* True while nobody has written or replaced the file since it was read, as far as stat(2) tells. */
bool ca_file_is_untouched(const struct config *config, const struct ca_file *file);

#endif
