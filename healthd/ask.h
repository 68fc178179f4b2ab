#ifndef HEALTHD_ASK_H
#define HEALTHD_ASK_H

#include "common/config/config.h"

/* Asks the healthd of this configuration, over loopback, for path, /healthz or /livez, within 2 s,
 * and prints what it says. Returns 0 if that is 200, else 1. */
int probe(const struct config *config, const char *path);

#endif
