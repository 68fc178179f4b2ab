#ifndef SETUP_PROCESS_PROGRAM_H
#define SETUP_PROCESS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

/* Work that needs a large library or the CA's key is done by small programs that setup executes: no
 * process ever has both the key and CAP_NET_ADMIN, and setup itself never loads the library. The
 * programs are in setup's directory, as built, or in ../libexec/opensandbox-egress from there, as
 * installed. */
#define CA_PROGRAM "setup-ca"   /* setup/ca, with OpenSSL */
#define NFT_PROGRAM "setup-nft" /* setup/nft, with libnftables */

/* A deadline (clock_ms of common/base/clock.h) that never comes. */
#define NO_DEADLINE INT64_MAX

/* How to start one of them. */
struct program_start {
    const char *name;
    char *const *arguments; /* argv, with a NULL at its end */
    const int *handed_over; /* descriptors that it inherits by number, besides 0, 1 and 2 */
    size_t handed_over_count;
    bool shares_output; /* its standard output is setup's, not a pipe */
    const char *what;   /* who it is in messages: "confdir: the process that prepares it" */
    int64_t deadline_ms;

    /* Is called in the new process before the program is executed: sheds privileges. May be NULL.
     * 0, or -1 with error. */
    int (*shed)(const void *argument, struct error *error);
    const void *argument;
};

/* A program that runs. Its standard error is where setup's log goes. */
struct program {
    pid_t pid;
    int in;  /* a pipe to its standard input, -1 when closed */
    int out; /* a pipe from its standard output, -1 without */
    const char *what;
    int64_t deadline_ms;
};

/* Can the program be found? 0, or -1 with error. */
int program_check(const char *name, struct error *error);

/* Starts it, and waits until it is executed. 0, or -1 with error, that of shed included. The caller
 * ends it with program_end. */
int program_start(const struct program_start *start, struct program *program, struct error *error);

/* Writes all of it to the program's standard input. A program that has ended without having read it
 * is no error here: what it answers says more. */
void program_write(const struct program *program, const void *data, size_t size);

/* Nothing more will be written. */
void program_close_input(struct program *program);

/* Reads exactly so many bytes of what the program writes. 0, or -1 with error: the program has
 * ended before that, or the deadline is over. */
int program_read(const struct program *program, void *data, size_t size, struct error *error);

/* Reads all that it still writes, until it closes its output: at most max bytes, in newly allocated
 * memory which the caller frees, with a NUL behind them that does not count. NULL with error. */
char *program_read_rest(const struct program *program, size_t max, size_t *size,
                        struct error *error);

/* Closes both pipes and waits until it has ended by itself. Returns its status (waitpid(2)). */
int program_wait(struct program *program);

/* The same, but kills it first. Does nothing if it has ended. */
void program_end(struct program *program);

#endif
