#ifndef HEALTHD_RUNNER_SPAWN_H
#define HEALTHD_RUNNER_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

/* Starts a program in a process group of its own: with home as HOME, /dev/null as standard input,
 * and a pipe for both outputs, whose reading end (non-blocking) is *output and the caller's. It has
 * no other descriptor, an empty signal mask, and dies with the process that called. 0, or -1 with
 * error. An exec that fails ends the process with status 127 and its reason in the output. */
int spawn(char *const *command, const char *home, pid_t *pid, int *output, struct error *error);

/* Does the process have a descriptor of the socket with that inode? */
bool spawn_has_socket(pid_t pid, uint32_t inode);

#endif
