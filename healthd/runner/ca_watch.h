#ifndef HEALTHD_RUNNER_CA_WATCH_H
#define HEALTHD_RUNNER_CA_WATCH_H

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/mitmdump/ca_file.h"

/* mitmdump reads the CA only once. It silently replaces a missing one by a new one, which no client
 * trusts, and it listens with a key that does not match. So it is started only with the very file
 * that setup has checked, and the file is watched as long as it runs. */

/* Reads the file. If setup has recorded which file it has checked, it must be that one. 0, or -1
 * with error. */
int ca_watch_read(const struct config *config, struct ca_file *file, struct error *error);

enum ca_change {
    CA_SAME,
    CA_REPLACED, /* by setup: mitmdump has to read it again */
    CA_WRONG,    /* gone, or changed by somebody else: the reason is in error */
};

/* Compares the file with the one that mitmdump has read. */
enum ca_change ca_watch_look(const struct config *config, struct ca_file *loaded,
                             struct error *error);

#endif
