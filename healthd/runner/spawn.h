#ifndef HEALTHD_RUNNER_SPAWN_H
#define HEALTHD_RUNNER_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

#include "common/base/error.h"

enum { SPAWN_DESCRIPTORS_MAX = 4 };

struct spawn {
    char *const *command;
    const char *home;       /* HOME */
    const int *descriptors; /* what the program gets as 3, 4 and so on */
    size_t count;           /* at most SPAWN_DESCRIPTORS_MAX */
};

/* Starts a program in a process group of its own, with /dev/null as standard input and a pipe for
 * both outputs, whose reading end (non-blocking) is *output and the caller's. It has no other
 * descriptor than these, an empty signal mask, and dies with the process that called. 0, or -1 with
 * error. An exec that fails ends the process with status 127 and its reason in the output. */
int spawn(const struct spawn *spawn, pid_t *pid, int *output, struct error *error);

/* Makes such a pipe: ends[0] to read, non-blocking, ends[1] to write. 0, or -1 with error. */
int spawn_pipe(int ends[static 2], struct error *error);

#endif
