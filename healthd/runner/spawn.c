#include "healthd/runner/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

/* The child. Its error messages go where the program's output goes. */
__attribute__((noreturn)) static void run(char *const *command, const char *home, int output,
                                          pid_t parent)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setpgid(0, 0);
    if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0)
        _exit(127);
    closefrom(3);
    /* The user does not change any more, which would clear this. The parent may be gone already. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(127);
    raise_oom_score();
    reset_signals();
    forbid_core_dumps();
    raise_descriptor_limit();
    setenv("HOME", home, 1);
    /* No output may be lost in a buffer when mitmdump ends. */
    setenv("PYTHONUNBUFFERED", "1", 0);
    /* Python runs no code of others from below HOME, where the CA is. */
    setenv("PYTHONNOUSERSITE", "1", 1);
    execv(command[0], command);
    dprintf(STDERR_FILENO, "%s: exec: %s\n", command[0], strerror(errno));
    _exit(127);
}

int spawn(char *const *command, const char *home, pid_t *pid, int *output, struct error *error)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, 1, "not started: pipe: %s", strerror(errno));
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        error_set(error, 1, "not started: pipe: %s", strerror(errno));
        goto fail;
    }
    *pid = fork();
    if (*pid == 0)
        run(command, home, ends[1], parent);
    if (*pid < 0) {
        *pid = 0;
        error_set(error, 1, "not started: fork: %s", strerror(errno));
        goto fail;
    }
    /* Parent and child both do this, so that the group exists whoever comes first. */
    setpgid(*pid, *pid);
    close(ends[1]);
    *output = ends[0];
    return 0;
fail:
    close(ends[0]);
    close(ends[1]);
    return -1;
}

bool spawn_has_socket(pid_t pid, uint32_t inode)
{
    char path[64], wanted[64], target[64];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    snprintf(wanted, sizeof(wanted), "socket:[%" PRIu32 "]", inode);
    DIR *list = opendir(path);
    if (list == NULL)
        return false;
    for (struct dirent *entry = readdir(list); entry != NULL && !found; entry = readdir(list)) {
        ssize_t length = readlinkat(dirfd(list), entry->d_name, target, sizeof(target) - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    closedir(list);
    return found;
}
