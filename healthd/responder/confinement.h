#ifndef HEALTHD_RESPONDER_CONFINEMENT_H
#define HEALTHD_RESPONDER_CONFINEMENT_H

#include "common/base/error.h"

/* Leaves this process the system calls of the responder's loop, by a seccomp filter that cannot be
 * taken off again: it can serve, look and log. It can neither start a program nor write, make or
 * rename a file, nor send a signal; whatever tries gets EPERM. Needs no_new_privs. 0, or
 * -1 with error. */
int confine(struct error *error);

#endif
