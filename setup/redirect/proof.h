#ifndef SETUP_REDIRECT_PROOF_H
#define SETUP_REDIRECT_PROOF_H

#include <stdint.h>

#include "common/base/error.h"

/* Proves that the redirect of family (AF_INET, AF_INET6) is live: connects to the canary's address,
 * and checks that the connection lands on the health port with the canary as its original
 * destination; on a socket of our own, or, where healthd has the port, by healthd's answer. Nothing
 * leaves the pod. 0, or -1 with error. */
int proof_run(int family, uint16_t health_port, struct error *error);

#endif
