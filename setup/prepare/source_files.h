#ifndef SETUP_PREPARE_SOURCE_FILES_H
#define SETUP_PREPARE_SOURCE_FILES_H

#include "common/base/error.h"
#include "common/config/config.h"

/* Opens the files of MITMPROXY_CA_DIR, which only root may be able to open, without reading them:
 * setup never has a key. Sets SOURCE_CERTIFICATES to SOURCE_ROOT of setup/ca/messages.h to
 * descriptors, or to -ERRNO. 0, or -1 with error if there is no such directory. In both cases the
 * caller closes them. */
int source_files_open(const struct config *config, int *handed, struct error *error);

void source_files_close(const int *handed);

#endif
