#ifndef HEALTHD_RESPONDER_CONFINEMENT_H
#define HEALTHD_RESPONDER_CONFINEMENT_H

#include "common/base/error.h"
#include "common/config/config.h"

/* Restricts this process to the system calls of the responder's loop, by a seccomp filter, and to
 * the state file and proc(5), by Landlock; neither can be removed. It can serve, look and log, but
 * neither start a program, nor write, make or rename a file, nor send a signal: such calls fail
 * with EPERM; other files fail with EACCES. A kernel without Landlock is a warning. Needs
 * no_new_privs. 0, or -1 with error. */
int confine(const struct config *config, struct error *error);

#endif
