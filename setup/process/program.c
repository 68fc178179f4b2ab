#include "setup/process/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/* Where programs are, relative to setup's directory. */
static const char *const places[] = {"", "../libexec/opensandbox-egress/"};

/* setup's own directory, with a slash at its end. Without /proc it is that of the path by which
 * setup was executed. */
static void own_directory(char directory[static PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);
    if (length > 0)
        directory[length] = '\0';
    else
        strlcpy(directory, (const char *)getauxval(AT_EXECFN), PATH_MAX);
    char *slash = strrchr(directory, '/');
    if (slash != NULL)
        slash[1] = '\0';
    else
        strlcpy(directory, "./", PATH_MAX);
}

/* Returns a descriptor that can only be executed: the user that does so need not be able to reach
 * the path or read the file. -1 with error. */
static int open_program(const char *name, struct error *error)
{
    char directory[PATH_MAX];
    char path[PATH_MAX + 64];
    int reason = ENOENT;
    own_directory(directory);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, sizeof(path), "%s%s%s", directory, places[i], name);
        int program = open(path, O_PATH | O_CLOEXEC);
        if (program >= 0)
            return program;
        if (errno != ENOENT)
            reason = errno;
    }
    return error_set(error, 1, "a part of setup cannot be executed: %s: %s", path,
                     strerror(reason));
}

int program_check(const char *name, struct error *error)
{
    int program = open_program(name, error);
    if (program < 0)
        return -1;
    close(program);
    return 0;
}

/* Sets up the program's descriptors. All others are close-on-exec. */
static int hand_over(const struct program_start *start, int in, int out)
{
    if (dup2(in, STDIN_FILENO) < 0 || (!start->shares_output && dup2(out, STDOUT_FILENO) < 0) ||
        (log_descriptor() != STDERR_FILENO && dup2(log_descriptor(), STDERR_FILENO) < 0))
        return -1;
    for (size_t i = 0; i < start->handed_over_count; i++)
        if (fcntl(start->handed_over[i], F_SETFD, 0) != 0)
            return -1;
    return 0;
}

/* The new process. An error is written to failure, which closes if all goes well. */
static void become(const struct program_start *start, int program, int in, int out, int failure)
{
    struct error error = {0};
    if (start->shed == NULL || start->shed(start->argument, &error) == 0) {
        if (hand_over(start, in, out) == 0)
            fexecve(program, start->arguments, environ);
        error_set(&error, 1, "a part of setup cannot be executed: %s: %s", start->name,
                  strerror(errno));
    }
    ssize_t ignored = write(failure, &error, sizeof(error));
    (void)ignored;
}

/* Waits until there is something to read, or the other end is closed. */
static int wait_readable(const struct program *program, int in, struct error *error)
{
    struct pollfd readable = {.fd = in, .events = POLLIN};
    for (;;) {
        int64_t left_ms = program->deadline_ms - clock_ms();
        int limit_ms = left_ms > INT_MAX ? -1 : (int)left_ms;
        int found = left_ms > 0 ? poll(&readable, 1, limit_ms) : 0;
        if (found > 0)
            return 0;
        if (found == 0)
            return error_set(error, 1, "%s was stopped, or hangs", program->what);
        if (errno != EINTR)
            return error_set(error, 1, "%s: poll: %s", program->what, strerror(errno));
    }
}

/* Reads until size bytes are there or the other end is closed. One deadline covers all reads,
 * because the user that the program runs as can stop it at any moment. Returns how many bytes there
 * were, or -1 with error. */
static ssize_t read_some(const struct program *program, int in, char *data, size_t size,
                         struct error *error)
{
    size_t used = 0;
    while (used < size) {
        if (wait_readable(program, in, error) != 0)
            return -1;
        ssize_t got = read(in, data + used, size - used);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return error_set(error, 1, "%s: read: %s", program->what, strerror(errno));
        used += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)used;
}

/* Waits until the program is executed. 0, or -1 with error. */
static int await_execution(const struct program *program, int failure, struct error *error)
{
    struct error why;
    ssize_t got = read_some(program, failure, (char *)&why, sizeof(why), error);
    if (got == (ssize_t)sizeof(why))
        *error = why;
    else if (got > 0)
        error_set(error, 1, "%s died", program->what);
    return got == 0 ? 0 : -1;
}

static void close_pipes(int pipes[3][2])
{
    for (int i = 0; i < 3; i++)
        for (int end = 0; end < 2; end++)
            if (pipes[i][end] >= 0)
                close(pipes[i][end]);
}

int program_start(const struct program_start *start, struct program *program, struct error *error)
{
    enum { IN, OUT, FAILURE };
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    int file = open_program(start->name, error);
    *program = (struct program){.in = -1, .out = -1};
    program->what = start->what;
    program->deadline_ms = start->deadline_ms;
    if (file < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0) {
            error_set(error, 1, "pipe: %s", strerror(errno));
            close_pipes(pipes);
            close(file);
            return -1;
        }
    program->pid = fork();
    if (program->pid == 0) {
        become(start, file, pipes[IN][0], pipes[OUT][1], pipes[FAILURE][1]);
        _exit(1);
    }
    int result = program->pid > 0 ? 0 : error_set(error, 1, "fork: %s", strerror(errno));
    close(pipes[FAILURE][1]);
    pipes[FAILURE][1] = -1;
    if (result == 0)
        result = await_execution(program, pipes[FAILURE][0], error);
    if (result == 0) {
        program->in = pipes[IN][1];
        program->out = pipes[OUT][0];
        pipes[IN][1] = pipes[OUT][0] = -1;
    }
    close_pipes(pipes);
    close(file);
    if (result != 0)
        program_end(program);
    return result;
}

void program_write(const struct program *program, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t put = write(program->in, at, size);
        if (put < 0 && errno != EINTR)
            return;
        at += put > 0 ? put : 0;
        size -= put > 0 ? (size_t)put : 0;
    }
}

void program_close_input(struct program *program)
{
    if (program->in >= 0)
        close(program->in);
    program->in = -1;
}

int program_read(const struct program *program, void *data, size_t size, struct error *error)
{
    ssize_t got = read_some(program, program->out, data, size, error);
    if (got >= 0 && (size_t)got < size)
        return error_set(error, 1, "%s died", program->what);
    return got < 0 ? -1 : 0;
}

char *program_read_rest(const struct program *program, size_t max, size_t *size,
                        struct error *error)
{
    char *data = malloc(max + 1);
    ssize_t got = data != NULL ? read_some(program, program->out, data, max + 1, error)
                               : error_set(error, 1, "%s: %s", program->what, strerror(errno));
    if (got > (ssize_t)max)
        got = error_set(error, 1, "%s says too much", program->what);
    if (got < 0) {
        free(data);
        return NULL;
    }
    data[got] = '\0';
    *size = (size_t)got;
    return data;
}

int program_wait(struct program *program)
{
    int status = 0;
    program_close_input(program);
    if (program->out >= 0)
        close(program->out);
    program->out = -1;
    while (program->pid > 0 && waitpid(program->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    program->pid = 0;
    return status;
}

void program_end(struct program *program)
{
    if (program->pid <= 0)
        return; /* never started, or its end was awaited */
    kill(program->pid, SIGKILL);
    program_wait(program);
}
