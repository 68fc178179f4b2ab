#include "healthd/runner/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* When memory runs out, the kernel kills mitmdump before healthd. */
static const char oom_score[] = "500";

static void raise_oom_score(void)
{
    /* root owns the files in /proc/self until the process is dumpable. exec will make it that
     * anyway. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t ignored = write(fd, oom_score, sizeof(oom_score) - 1);
    (void)ignored;
    close(fd);
}

/* A core of mitmdump would hold the CA's key. */
static void forbid_core_dumps(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

/* A connection costs mitmdump two descriptors, and asyncio does not recover when they run out: with
 * the usual soft limit of 1024 it would hang at some 500 connections. healthd itself has a bounded
 * number of clients. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Makes the program's descriptors 3, 4 and so on. */
static int place_descriptors(const int *descriptors, size_t count)
{
    int apart[SPAWN_DESCRIPTORS_MAX];
    /* First out of the way of each other. */
    for (size_t i = 0; i < count; i++) {
        apart[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, 3 + SPAWN_DESCRIPTORS_MAX);
        if (apart[i] < 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++)
        if (dup2(apart[i], 3 + (int)i) < 0)
            return -1;
    closefrom(3 + (int)count);
    return 0;
}

/* The child. Its error messages go where the program's output goes. */
__attribute__((noreturn)) static void run(const struct spawn *spawn, int output, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setpgid(0, 0);
    if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || place_descriptors(spawn->descriptors, spawn->count) != 0)
        _exit(127);
    /* The user does not change any more, which would clear this. The parent may be gone already. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(127);
    raise_oom_score();
    reset_signals();
    forbid_core_dumps();
    raise_descriptor_limit();
    setenv("HOME", spawn->home, 1);
    /* No output may be lost in a buffer when mitmdump ends. */
    setenv("PYTHONUNBUFFERED", "1", 0);
    /* Python runs no code of others from below HOME, where the CA is. */
    setenv("PYTHONNOUSERSITE", "1", 1);
    execv(spawn->command[0], spawn->command);
    dprintf(STDERR_FILENO, "%s: exec: %s\n", spawn->command[0], strerror(errno));
    _exit(127);
}

int spawn_pipe(int ends[static 2], struct error *error)
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, 1, "not started: pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

int spawn(const struct spawn *spawn, pid_t *pid, int *output, struct error *error)
{
    int ends[2];
    pid_t parent = getpid();
    if (spawn_pipe(ends, error) != 0)
        return -1;
    *pid = fork();
    if (*pid == 0)
        run(spawn, ends[1], parent);
    close(ends[1]);
    if (*pid < 0) {
        *pid = 0;
        close(ends[0]);
        return error_set(error, 1, "not started: fork: %s", strerror(errno));
    }
    /* Parent and child both do this, so that the group exists whoever comes first. */
    setpgid(*pid, *pid);
    *output = ends[0];
    return 0;
}
