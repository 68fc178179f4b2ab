#include "tests/fuzz/config_log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config/config.h"
#include "tests/fuzz/fuzz.h"

enum { LOG_MAX = 1 << 20 };

static char log_text[LOG_MAX];
static int log_fd = -1, stderr_fd = -1;

/* Of <sanitizer/common_interface_defs.h>; not there in a build without. */
__attribute__((weak)) void __sanitizer_set_report_fd(void *fd);

/* The log goes to memory, but what the address sanitizer has to say does not. (gcc's sanitizer of
 * undefined behaviour is a library of its own, which is not reached: there only the status tells.)
 */
static void open_log(void)
{
    log_fd = memfd_create("log", MFD_CLOEXEC);
    stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    CHECK(log_fd >= 0 && stderr_fd >= 0);
    if (__sanitizer_set_report_fd != NULL)
        __sanitizer_set_report_fd((void *)(intptr_t)stderr_fd);
}

void log_begin(void)
{
    if (log_fd < 0)
        open_log();
    CHECK(ftruncate(log_fd, 0) == 0 && lseek(log_fd, 0, SEEK_SET) == 0);
    CHECK(dup2(log_fd, STDERR_FILENO) == STDERR_FILENO);
}

void log_end(void)
{
    CHECK(dup2(stderr_fd, STDERR_FILENO) == STDERR_FILENO);
    ssize_t size = pread(log_fd, log_text, sizeof(log_text), 0);
    CHECK(size >= 0 && size < (ssize_t)sizeof(log_text));
    log_text[size] = '\0';
    CHECK(strlen(log_text) == (size_t)size);
}

/* Where in a line of the log the level stands, and the message. */
static const char *level_of(const char *line, bool json)
{
    return line + (json ? strlen("{\"time\":\"2026-01-01T00:00:00.000Z\",\"level\":\"")
                        : strlen("2026-01-01T00:00:00.000Z "));
}

static const char *message_of(const char *line, bool json)
{
    const char *before = json ? "\"message\":\"" : "fuzz: ";
    const char *found = strstr(line, before);
    CHECK(found != NULL);
    return found + strlen(before);
}

size_t log_count(const char *level, bool json)
{
    size_t count = 0;
    for (char *line = log_text, *end; *line != '\0'; line = end + 1) {
        end = line + strcspn(line, "\n");
        CHECK(*end == '\n' && end - line < 4096 && end - line > 60);
        for (char *at = line; at < end; at++)
            CHECK((unsigned char)*at >= ' ' && *at != 0x7f);
        CHECK(!json || (line[0] == '{' && memcmp(end - 2, "\"}", 2) == 0));
        count += strncmp(level_of(line, json), level, strlen(level)) == 0;
    }
    return count;
}

bool log_complains_of(const char *name, bool json)
{
    char start[80];
    snprintf(start, sizeof(start), CONFIG_PREFIX "%s=", name);
    for (const char *line = log_text; *line != '\0'; line = strchr(line, '\n') + 1)
        if (strncmp(message_of(line, json), start, strlen(start)) == 0)
            return true;
    return false;
}
