#ifndef HEALTHD_RUNNER_H
#define HEALTHD_RUNNER_H

#include <sys/types.h>

#include "common/config.h"

/* The process that owns mitmdump: becomes the mitmproxy user, starts mitmdump and keeps it alive,
 * writes healthd's half of the state file, and reports to the responder on control (a socket of
 * type SOCK_SEQPACKET) until that ends or a signal comes. parent is the responder's pid. Returns
 * the exit status. */
int runner_run(const struct config *config, int control, pid_t parent);

#endif
