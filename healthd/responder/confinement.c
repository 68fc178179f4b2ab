#include "healthd/responder/confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"

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

static int filter_calls(struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = filter != NULL ? add_rules(filter) : -ENOMEM;
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    if (result == 0)
        return 0;
    return error_set(error, 1, "confine the responder by seccomp: %s", strerror(-result));
}

/* Everything that Landlock can forbid since its first version (linux/landlock.h). */
static const uint64_t all_file_access = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

/* Allows reading below a directory. 0, or -1 with errno. */
static int allow_reading(int ruleset, const char *directory)
{
    struct landlock_path_beneath_attr beneath = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        .parent_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC),
    };
    if (beneath.parent_fd < 0)
        return -1;
    int result =
        (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(beneath.parent_fd);
    return result;
}

/* The state file's directory, or where it will be: the nearest directory above it that exists. */
static int allow_state_file(int ruleset, const char *path)
{
    char directory[PATH_MAX];
    strlcpy(directory, path, sizeof(directory));
    for (char *slash = strrchr(directory, '/'); slash != NULL; slash = strrchr(directory, '/')) {
        slash[slash == directory] = '\0';
        if (allow_reading(ruleset, directory) == 0)
            return 0;
        if (errno != ENOENT || slash == directory)
            return -1;
    }
    return -1;
}

/* Forbids every file but the state file, and what proc(5) tells of mitmdump and of the boot. The
 * process may have mitmdump's user, who can read the CA's key: Landlock also keeps it from reading
 * the memory of processes that are not confined like it. 0, or -1 with errno. */
static int forbid_files(const char *state_file)
{
    const struct landlock_ruleset_attr attributes = {.handled_access_fs = all_file_access};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (ruleset < 0)
        return -1;
    int result = allow_reading(ruleset, "/proc");
    if (result == 0)
        result = allow_state_file(ruleset, state_file);
    if (result == 0)
        result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    int reason = errno;
    close(ruleset);
    errno = reason;
    return result;
}

int confine(const struct config *config, struct error *error)
{
    if (is_sanitized)
        return 0;
    if (forbid_files(config->state_file) != 0)
        log_warn("the process that answers HTTP can read what its user can: Landlock: %s",
                 strerror(errno));
    return filter_calls(error);
}
