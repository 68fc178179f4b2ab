#ifndef HEALTHD_RUNNER_OUTPUT_H
#define HEALTHD_RUNNER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "healthd/link/report.h"

/* What mitmdump prints. It goes line by line into our log, and the last line is kept to say why
 * mitmdump ended. */

enum { OUTPUT_LINE_SIZE = 2048 };

struct output {
    int fd; /* the pipe's reading end, non-blocking; -1 when it is closed */
    size_t used;
    char line[OUTPUT_LINE_SIZE];
    char last[256];
    bool start_is_over; /* mitmscripts/started.py has said so */
    uint32_t *refused;  /* REFUSALS counters, the caller's */
};

/* The kind's name, as admission.py and the metrics have it. */
const char *refusal_name(enum refusal refusal);

/* Takes over the descriptor. Lines that say what was refused are counted in refused, which stays
 * the caller's. */
void output_open(struct output *output, int fd, uint32_t refused[static REFUSALS]);

/* Reads what is there, at most 64 KiB, so that a program that never stops printing cannot hold up
 * the loop. Closes the pipe at its end. */
void output_read(struct output *output);

/* Passes on an unfinished line too, and closes the pipe. */
void output_close(struct output *output);

#endif
