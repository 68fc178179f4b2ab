#include "healthd/runner/output.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/base/characters.h"
#include "common/base/log.h"

enum { READS_MAX = 16, READ_SIZE = 4096 };

void output_open(struct output *output, int fd, uint32_t refused[static REFUSALS])
{
    memset(output, 0, sizeof(*output));
    output->fd = fd;
    output->refused = refused;
}

const char *refusal_name(enum refusal refusal)
{
    static const char *const names[REFUSALS] = {
        [REFUSED_NON_HTTP] = "non-http", [REFUSED_TLS] = "tls",     [REFUSED_REQUEST] = "request",
        [REFUSED_VERSION] = "version",   [REFUSED_ADDON] = "addon",
    };
    return names[refusal];
}

/* Counts the line only if mitmproxy's time of day in brackets is in front of the words: what an
 * addon prints of a request stands elsewhere. */
static void count_refusal(const struct output *output)
{
    static const char words[] = "] opensandbox-egress refused ";
    const char *kind = output->line + strcspn(output->line, "]");
    if (output->line[0] != '[' || strncmp(kind, words, sizeof(words) - 1) != 0)
        return;
    kind += sizeof(words) - 1;
    for (enum refusal i = 0; i < REFUSALS; i++)
        if (strncmp(kind, refusal_name(i), strlen(refusal_name(i))) == 0 &&
            kind[strlen(refusal_name(i))] == ':')
            output->refused[i]++;
}

/* True for mitmproxy's very last line, which follows the one that says why it ends. */
static bool says_nothing(const char *line)
{
    return strstr(line, "logged during startup, exiting") != NULL;
}

/* The line of mitmscripts/started.py is for healthd, and is not logged. */
static bool is_about_start(struct output *output)
{
    if (strcmp(output->line, "opensandbox-egress: mitmdump has started") != 0)
        return false;
    output->start_is_over = true;
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
    count_refusal(output);
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
