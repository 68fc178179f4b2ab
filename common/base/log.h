#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

enum log_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };
enum log_format { FORMAT_TEXT, FORMAT_JSON };

/* Sets up the log. Lines go to stderr, each in one write of at most 4096 bytes (PIPE_BUF), so that
 * lines of several processes on one pipe do not mix. A line that would block is dropped. Control
 * characters and characters that hide or turn text are escaped: a message may quote text from
 * outside. */
void log_init(const char *program, enum log_level level, enum log_format format);

/* Replaces the program name of this process's lines. The string must live as long as it is used. */
void log_set_program(const char *program);

/* Where the lines go: standard error, or the same pipe or terminal opened anew so that no write
 * blocks. */
int log_descriptor(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Passes on one line of another program, at level info whatever the log's level is. */
void log_foreign(const char *program, const char *line);

#endif
