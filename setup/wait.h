#ifndef SETUP_WAIT_H
#define SETUP_WAIT_H

#include "common/config.h"
#include "common/error.h"

/* Waits until the kernel says that the mitmproxy user listens on the proxy port of loopback, in
 * each family that is redirected. 0, or -1 with error (69) after that many seconds. */
int wait_for_mitmdump(const struct config *config, unsigned int seconds, struct error *error);

#endif
