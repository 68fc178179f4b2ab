#include "common/base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/characters.h"

enum { MESSAGE_MAX = 2048, LINE_MAX_BYTES = 4096 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static struct {
    const char *program;
    enum log_level level;
    enum log_format format;
    int fd;
} logger = {"opensandbox-egress", LEVEL_INFO, FORMAT_TEXT, STDERR_FILENO};

/* Another process may fill a pipe between our poll and our write, which then blocks. So a pipe or
 * terminal is opened anew, non-blocking, if that is allowed. (O_NONBLOCK set on descriptor 2 would
 * hold for all processes that share it.) */
static void open_without_blocking(void)
{
    struct stat st;
    if (logger.fd != STDERR_FILENO || fstat(STDERR_FILENO, &st) != 0 ||
        !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        return;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        logger.fd = fd;
}

void log_init(const char *program, enum log_level level, enum log_format format)
{
    open_without_blocking();
    logger.program = program;
    logger.level = level;
    logger.format = format;
}

int log_descriptor(void)
{
    return logger.fd;
}

void log_set_program(const char *program)
{
    logger.program = program;
}

enum { PIECE_SIZE = 16 };

/* Writes the escape sequence of an unprintable character. Returns its length. */
static size_t escape(char piece[static PIECE_SIZE], uint32_t code)
{
    bool json = logger.format == FORMAT_JSON;
    if (json && code > 0xffff) /* two surrogates */
        return (size_t)snprintf(piece, PIECE_SIZE, "\\u%04x\\u%04x",
                                0xd7c0 + (unsigned int)(code >> 10),
                                0xdc00 + (unsigned int)(code & 0x3ff));
    if (json || code > 0x7f)
        return (size_t)snprintf(piece, PIECE_SIZE, code > 0xffff ? "\\U%08x" : "\\u%04x", code);
    return (size_t)snprintf(piece, PIECE_SIZE, "\\x%02x", code);
}

/* The same for a byte that is not UTF-8: JSON must not contain one, and some terminals take it for
 * a control character of another encoding. */
static size_t escape_byte(char piece[static PIECE_SIZE], unsigned char byte)
{
    if (logger.format == FORMAT_JSON)
        return strlcpy(piece, "\xef\xbf\xbd", PIECE_SIZE); /* U+FFFD */
    return (size_t)snprintf(piece, PIECE_SIZE, "\\x%02x", byte);
}

/* Takes the next character off text, escaped if necessary. Returns the length of piece. */
static size_t next_piece(const char **text, char piece[static PIECE_SIZE])
{
    const char *at = *text;
    size_t length = utf8_length(at);
    *text += length > 0 ? length : 1;
    if (length == 0)
        return escape_byte(piece, (unsigned char)*at);
    if (is_unprintable(utf8_code(at, length)))
        return escape(piece, utf8_code(at, length));
    if (logger.format == FORMAT_JSON && (*at == '"' || *at == '\\'))
        return (size_t)snprintf(piece, PIECE_SIZE, "\\%c", *at);
    memcpy(piece, at, length);
    return length;
}

static size_t append_escaped(char *line, size_t used, size_t limit, const char *text)
{
    while (*text != '\0') {
        char piece[PIECE_SIZE];
        size_t length = next_piece(&text, piece);
        if (used + length > limit)
            break;
        memcpy(line + used, piece, length);
        used += length;
    }
    return used;
}

static size_t append_prefix(char *line, size_t size, enum log_level level, const char *program)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    if (logger.format == FORMAT_JSON)
        return (size_t)snprintf(
            line, size,
            "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"program\":\"%s\",\"message\":\"", stamp,
            now.tv_nsec / 1000000, level_names[level], program);
    return (size_t)snprintf(line, size, "%s.%03ldZ %-5s %s: ", stamp, now.tv_nsec / 1000000,
                            level_names[level], program);
}

/* For a pipe POLLOUT means that PIPE_BUF bytes fit (pipe(7)): without a reader the line is
 * dropped. */
static void write_line(const char *line, size_t length)
{
    struct pollfd writable = {.fd = logger.fd, .events = POLLOUT};
    if (poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT) != 0) {
        ssize_t ignored = write(logger.fd, line, length);
        (void)ignored;
    }
}

static void log_message(enum log_level level, const char *program, const char *message)
{
    char line[LINE_MAX_BYTES];
    size_t used = append_prefix(line, sizeof(line), level, program);
    used = append_escaped(line, used, sizeof(line) - 3, message);
    if (logger.format == FORMAT_JSON) {
        line[used++] = '"';
        line[used++] = '}';
    }
    line[used++] = '\n';
    write_line(line, used);
}

__attribute__((format(printf, 2, 0))) static void log_at(enum log_level level, const char *format,
                                                         va_list args)
{
    char message[MESSAGE_MAX];
    if (level < logger.level)
        return;
    vsnprintf(message, sizeof(message), format, args);
    log_message(level, logger.program, message);
}

void log_foreign(const char *program, const char *line)
{
    log_message(LEVEL_INFO, program, line);
}

void log_debug(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_at(LEVEL_DEBUG, format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_at(LEVEL_INFO, format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_at(LEVEL_WARN, format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_at(LEVEL_ERROR, format, args);
    va_end(args);
}
