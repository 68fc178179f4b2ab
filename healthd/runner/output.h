#ifndef HEALTHD_RUNNER_OUTPUT_H
#define HEALTHD_RUNNER_OUTPUT_H

#include <stddef.h>

/* What a program prints. It goes line by line into our log, and the last line is kept to say why
 * the program ended. */

enum { OUTPUT_LINE_SIZE = 2048, OUTPUT_END_SIZE = 384 };

struct output {
    int fd;           /* the pipe's reading end, non-blocking; -1 when it is closed */
    const char *name; /* of the program, for the log */
    size_t used;
    char line[OUTPUT_LINE_SIZE];
    char last[256];
};

/* Takes over the descriptor. */
void output_open(struct output *output, const char *name, int fd);

/* Reads what is there, at most 64 KiB, so that a program that never stops printing cannot hold up
 * the loop. Closes the pipe at its end. */
void output_read(struct output *output);

/* How the program ended, by its wait status and what it has printed last. */
void output_describe_end(const struct output *output, int wait_status,
                         char text[static OUTPUT_END_SIZE]);

/* Passes on an unfinished line too, and closes the pipe. */
void output_close(struct output *output);

#endif
