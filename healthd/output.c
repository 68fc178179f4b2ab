#include "healthd/output.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/characters.h"
#include "common/log.h"

enum { READS_MAX = 16, READ_SIZE = 4096 };

void output_open(struct output *output, int fd)
{
    memset(output, 0, sizeof(*output));
    output->fd = fd;
}

/* mitmproxy's very last line before it ends, behind the one that says why. */
static bool says_nothing(const char *line)
{
    return strstr(line, "logged during startup, exiting") != NULL;
}

/* The lines of mitmscripts/started.py are for healthd alone. */
static bool is_about_start(struct output *output)
{
    if (strcmp(output->line, "opensandbox-egress: mitmdump has started") == 0)
        output->start = START_IS_OVER;
    else if (strcmp(output->line,
                    "opensandbox-egress: the start of this mitmdump cannot be seen") == 0)
        output->start = START_CANNOT_BE_SEEN;
    else
        return false;
    return true;
}

static void finish_line(struct output *output)
{
    output->line[output->used] = '\0';
    output->used = 0;
    if (is_about_start(output))
        return;
    if (output->line[strspn(output->line, " \t\r")] == '\0')
        return;
    if (!says_nothing(output->line)) {
        strlcpy(output->last, output->line, sizeof(output->last));
        make_printable(output->last);
    }
    log_foreign("mitmdump", output->line);
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
