// Make another process do a system call: inject PID NAME [ARGUMENT]... prints what it returned, an
// error as its name. An argument is a number, or a path that begins with "/". The process goes on as
// if nothing had been. (x86-64.)
//
// What a process is let do by its seccomp filter cannot be seen from outside; so it is tried, from
// inside, on the process itself.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#define CALL(name)                                                                                 \
    {                                                                                              \
#name, SYS_##name                                                                          \
    }

static const struct {
    const char *name;
    long number;
} calls[] = {
    CALL(add_key),
    CALL(bind),
    CALL(chdir),
    CALL(chmod),
    CALL(chown),
    CALL(chroot),
    CALL(clone),
    CALL(clone3),
    CALL(close),
    CALL(execve),
    CALL(execveat),
    CALL(ftruncate),
    CALL(getdents64),
    CALL(ioctl),
    CALL(kill),
    CALL(link),
    CALL(listen),
    CALL(memfd_create),
    CALL(mkdir),
    CALL(mmap),
    CALL(mprotect),
    CALL(open),
    CALL(openat),
    CALL(pidfd_open),
    CALL(prlimit64),
    CALL(ptrace),
    CALL(rename),
    CALL(rmdir),
    CALL(sendfile),
    CALL(setgid),
    CALL(setns),
    CALL(setuid),
    CALL(shmget),
    CALL(socket),
    CALL(symlink),
    CALL(truncate),
    CALL(unlink),
    CALL(unlinkat),
    CALL(unshare),
    CALL(getpid),
    CALL(process_vm_readv),
    CALL(renameat2),
    CALL(io_uring_setup),
};

static long number_of(const char *name)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    fprintf(stderr, "inject: no such call: %s\n", name);
    exit(64);
}

static void fail(const char *operation)
{
    fprintf(stderr, "inject: %s: %s\n", operation, strerror(errno));
    exit(71);
}

static void wait_for_stop(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, __WALL) < 0)
        fail("waitpid");
    if (!WIFSTOPPED(status)) {
        fprintf(stderr, "inject: the process has ended\n");
        exit(70);
    }
}

// The process waits in a system call, so the instruction before its next one is one that makes
// them.
static long call(pid_t pid, long number, const unsigned long long argument[6])
{
    struct user_regs_struct before, regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &before) < 0)
        fail("get registers");
    regs = before;
    regs.rip -= 2;
    regs.rax = (unsigned long long)number;
    regs.orig_rax =
        (unsigned long long)-1; // the call that it waits in is not to be begun again now
    regs.rdi = argument[0];
    regs.rsi = argument[1];
    regs.rdx = argument[2];
    regs.r10 = argument[3];
    regs.r8 = argument[4];
    regs.r9 = argument[5];
    if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) < 0)
        fail("set registers");
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
        fail("step");
    wait_for_stop(pid);
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
        fail("get registers");
    if (ptrace(PTRACE_SETREGS, pid, NULL, &before) < 0)
        fail("restore registers");
    return (long)regs.rax;
}

// Writes a path where the process keeps nothing, well below its stack, and returns its address there.
static unsigned long long put_path(pid_t pid, const char *path)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
        fail("get registers");
    unsigned long long place = (regs.rsp - 8192) & ~15ULL;
    for (size_t i = 0, size = strlen(path) + 1; i < size; i += sizeof(long)) {
        long word = 0;
        memcpy(&word, path + i, size - i < sizeof(word) ? size - i : sizeof(word));
        if (ptrace(PTRACE_POKEDATA, pid, (char *)place + i, (void *)word) < 0)
            fail("write a path");
    }
    return place;
}

int main(int argc, char **argv)
{
    unsigned long long argument[6] = {0};
    if (argc < 3)
        return 64;
    pid_t pid = atoi(argv[1]);
    long number = number_of(argv[2]);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        fail("attach");
    if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
        fail("interrupt");
    wait_for_stop(pid);
    for (int i = 3; i < argc && i < 9; i++)
        argument[i - 3] = argv[i][0] == '/' ? put_path(pid, argv[i])
                                            : (unsigned long long)strtoll(argv[i], NULL, 0);
    long result = call(pid, number, argument);
    if (ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0)
        fail("detach");
    if (result < 0 && result > -4096)
        printf("%s\n", strerrorname_np((int)-result));
    else
        printf("%ld\n", result);
    return 0;
}
