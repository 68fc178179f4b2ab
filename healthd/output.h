#ifndef HEALTHD_OUTPUT_H
#define HEALTHD_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* What mitmdump prints: passed on line by line into our log, the last line kept as its last words.
 */

enum { OUTPUT_LINE_SIZE = 2048 };

/* What mitmscripts/started.py has said. */
enum start_told { START_UNTOLD, START_IS_OVER, START_CANNOT_BE_SEEN };

struct output {
    int fd; /* the pipe's reading end, non-blocking; -1 when it is closed */
    size_t used;
    char line[OUTPUT_LINE_SIZE];
    char last[256];
    enum start_told start;
};

/* Takes over the descriptor. */
void output_open(struct output *output, int fd);

/* Reads what is there, at most 64 KiB, so that a program that never stops printing cannot hold up
 * the loop. Closes the pipe at its end. */
void output_read(struct output *output);

/* Passes on an unfinished line too, and closes the pipe. */
void output_close(struct output *output);

#endif
