#include "healthd/runner/output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/characters.h"
#include "common/base/log.h"

enum { READS_MAX = 16, READ_SIZE = 4096 };

void output_open(struct output *output, const char *name, int fd)
{
    memset(output, 0, sizeof(*output));
    output->fd = fd;
    output->name = name;
}

/* True for mitmproxy's very last line, which follows the one that says why it ends. */
static bool says_nothing(const char *line)
{
    return strstr(line, "logged during startup, exiting") != NULL;
}

static void finish_line(struct output *output)
{
    output->line[output->used] = '\0';
    output->used = 0;
    if (output->line[strspn(output->line, " \t\r")] == '\0')
        return;
    if (!says_nothing(output->line)) {
        strlcpy(output->last, output->line, sizeof(output->last));
        make_printable(output->last);
    }
    log_foreign(output->name, output->line);
}

static void take(struct output *output, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            finish_line(output);
            continue;
        }
        output->line[output->used++] = data[i] == '\0' ? ' ' : data[i];
        if (output->used == sizeof(output->line) - 1)
            finish_line(output);
    }
}

void output_read(struct output *output)
{
    char data[READ_SIZE];
    for (int reads = 0; reads < READS_MAX && output->fd >= 0; reads++) {
        ssize_t got = read(output->fd, data, sizeof(data));
        if (got > 0) {
            take(output, data, (size_t)got);
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        output_close(output);
    }
}

void output_close(struct output *output)
{
    if (output->used > 0)
        finish_line(output);
    if (output->fd >= 0)
        close(output->fd);
    output->fd = -1;
}

void output_describe_end(const struct output *output, int wait_status,
                         char text[static OUTPUT_END_SIZE])
{
    if (WIFSIGNALED(wait_status))
        snprintf(text, OUTPUT_END_SIZE, "killed by signal %d", WTERMSIG(wait_status));
    else
        snprintf(text, OUTPUT_END_SIZE, "exited with status %d%s%s", WEXITSTATUS(wait_status),
                 output->last[0] != '\0' ? ": " : "", output->last);
}
