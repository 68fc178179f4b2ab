#ifndef HEALTHD_PROBE_H
#define HEALTHD_PROBE_H

#include <stdint.h>

/* Asks the healthd on this port of loopback for path, /healthz or /livez, within 2 s, and prints
 * what it says. Returns 0 if that is 200, else 1. */
int probe(uint16_t port, const char *path);

#endif
