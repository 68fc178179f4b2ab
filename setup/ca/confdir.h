#ifndef SETUP_CA_CONFDIR_H
#define SETUP_CA_CONFDIR_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* mitmproxy's directory, for a process that is the mitmproxy user. */
struct confdir {
    const struct config *config;
    int directory;
};

/* Makes the directory if it is missing, opens it, and locks it against another setup. Refuses a
 * config.yaml that others than root and this user can write: mitmproxy executes what it names. 0,
 * or -1 with error. The caller closes it. */
int confdir_open(struct confdir *confdir, const struct config *config, struct error *error);
void confdir_close(struct confdir *confdir);

/* The path of a file in it, for messages. */
void confdir_path(const struct confdir *confdir, const char *name, char path[static PATH_MAX]);

/* As file_read, file_replace and file_update (mode 0644) of common/files/files.h. */
char *confdir_read(const struct confdir *confdir, const char *name, size_t *size,
                   struct error *error);
int confdir_write(const struct confdir *confdir, const char *name, const char *data, size_t size,
                  mode_t mode, struct error *error);
int confdir_update(const struct confdir *confdir, const char *name, const char *data, size_t size,
                   struct error *error);

/* Removes the permissions beyond mode from a file in it, or from the directory itself ("."). What
 * another user owns, or is on a read-only volume, stays as it is. */
int confdir_tighten(const struct confdir *confdir, const char *name, mode_t mode,
                    struct error *error);

/* Removes the permissions of others from it, and makes the Diffie-Hellman parameters: mitmproxy
 * would make them itself, but dies where it cannot. */
int confdir_complete(const struct confdir *confdir, struct error *error);

#endif
