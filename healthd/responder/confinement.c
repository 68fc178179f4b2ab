#include "healthd/responder/confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* What the loop needs, by purpose. */
static const int allowed[] = {
    /* clients and canaries */
    SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(sendto), SCMP_SYS(shutdown),
    /* waiting */
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(wait4), SCMP_SYS(waitid),
    /* open descriptors: state file, signals, log */
    SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(newfstatat),
    SCMP_SYS(read), SCMP_SYS(readlinkat), SCMP_SYS(statx), SCMP_SYS(write), SCMP_SYS(writev),
    /* itself */
    SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex),
    SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getrandom),
    SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid), SCMP_SYS(madvise), SCMP_SYS(munmap),
    SCMP_SYS(time)};

/* The families of the sockets that it may make, for canaries. */
static const int families[] = {AF_INET, AF_INET6};

/* Bits of openat's flags that change a file or make one. */
enum { OPEN_TO_CHANGE = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND };

/* Allows a call if those bits of its argument that are in mask equal bits. */
static int allow_where(scmp_filter_ctx filter, int call, unsigned int argument, scmp_datum_t mask,
                       scmp_datum_t bits)
{
    const struct scmp_arg_cmp condition = {
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = bits};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

static int add_rules(scmp_filter_ctx filter)
{
    int result = 0;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && result == 0; i++)
        result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && result == 0; i++)
        result = allow_where(filter, SCMP_SYS(socket), 0, UINT64_MAX, (scmp_datum_t)families[i]);
    if (result == 0)
        result = allow_where(filter, SCMP_SYS(openat), 2, OPEN_TO_CHANGE, O_RDONLY);
    if (result == 0)
        result = allow_where(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
    return result;
}

/* The sanitizers need threads, signals and ptrace for their own business. */
#ifdef __SANITIZE_ADDRESS__
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

int confine(struct error *error)
{
    if (is_sanitized)
        return 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = filter != NULL ? add_rules(filter) : -ENOMEM;
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    if (result == 0)
        return 0;
    return error_set(error, 1, "confine the responder by seccomp: %s", strerror(-result));
}
