#ifndef HEALTHD_ASK_H
#define HEALTHD_ASK_H

#include "common/config/config.h"

/* Asks healthd over loopback for path, /healthz or /livez, within 2 s, and prints the answer's
 * body. Returns 0 if the status is 200, else 1. */
int probe(const struct config *config, const char *path);

#endif
