#ifndef HEALTHD_RESPONDER_CONFINEMENT_H
#define HEALTHD_RESPONDER_CONFINEMENT_H

#include "common/base/error.h"

/* Restricts this process to the system calls of the responder's loop, by a seccomp filter that
 * cannot be removed. It can serve, look and log, but neither start a program, nor write, make or
 * rename a file, nor send a signal: such calls fail with EPERM. Needs no_new_privs. 0, or -1 with
 * error. */
int confine(struct error *error);

#endif
