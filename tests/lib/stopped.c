/*
 * Preloaded into setup and what it executes, or healthd: the first process that comes to the moment
 * which STOP_AT names, finds the file that STOP_FILE names and removes it, stops itself.
 *
 *   drop    about to give up its privileges for good
 *   judged  the work in the confdir has read the CA that it was given, and is about to say so
 *   key     it is about to put mitmproxy-ca.pem in its place
 *   answer  it has done its work, and is about to say so
 *   begun   it has said the first part of that
 *   end     it has said all, and is about to end
 *   lock    about to lock a file that is its owner's alone, having opened it
 *   export  the export is about to make its first file or directory
 *
 * With SUID_DUMPABLE in the environment it is as if fs.suid_dumpable were 1, which no test may set
 * for the whole machine: whoever changes its effective user or group is dumpable from then on.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(type, name, ...)                                                                      \
    type (*real)(__VA_ARGS__);                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, name)

static const char *command = ""; /* of setup-ca: what it is executed for */

__attribute__((constructor)) static void start(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[0], "setup-ca") == 0)
        command = arguments[1];
}

static int is_wanted(const char *moment)
{
    const char *at = getenv("STOP_AT");
    return at != NULL && strcmp(at, moment) == 0;
}

static void come_to(const char *moment)
{
    const char *file = getenv("STOP_FILE");
    if (is_wanted(moment) && file != NULL && unlink(file) == 0)
        raise(SIGSTOP);
}

int prctl(int option, ...)
{
    REAL(int, "prctl", int, ...);
    unsigned long arguments[4];
    va_list list;
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        arguments[i] = va_arg(list, unsigned long);
    va_end(list);
    if (option == PR_SET_NO_NEW_PRIVS)
        come_to("drop");
    return real(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

/* The work in the confdir has two answers, of which the second one has two parts. */
static int answers;

ssize_t write(int fd, const void *data, size_t size)
{
    static const char *const moments[] = {"judged", "answer", "begun"};
    REAL(ssize_t, "write", int, const void *, size_t);
    if (fd == STDOUT_FILENO && strcmp(command, "confdir") == 0 && answers < 3)
        come_to(moments[answers++]);
    return real(fd, data, size);
}

void _exit(int status)
{
    void (*real)(int) __attribute__((noreturn));
    *(void **)&real = dlsym(RTLD_NEXT, "_exit");
    if (answers > 0)
        come_to("end");
    real(status);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    REAL(int, "renameat", int, const char *, int, const char *);
    if (strcmp(to, "mitmproxy-ca.pem") == 0)
        come_to("key");
    return real(from_directory, from, to_directory, to);
}

int flock(int fd, int operation)
{
    REAL(int, "flock", int, int);
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) == 0)
        come_to("lock");
    return real(fd, operation);
}

static int changed(int result)
{
    if (result == 0 && getenv("SUID_DUMPABLE") != NULL)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return result;
}

int setresgid(gid_t real_gid, gid_t effective_gid, gid_t saved_gid)
{
    REAL(int, "setresgid", gid_t, gid_t, gid_t);
    gid_t before = getegid();
    int result = real(real_gid, effective_gid, saved_gid);
    return getegid() != before ? changed(result) : result;
}

int setresuid(uid_t real_uid, uid_t effective_uid, uid_t saved_uid)
{
    REAL(int, "setresuid", uid_t, uid_t, uid_t);
    uid_t before = geteuid();
    int result = real(real_uid, effective_uid, saved_uid);
    return geteuid() != before ? changed(result) : result;
}

int openat(int fd, const char *name, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, ...);
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if ((flags & O_CREAT) && strcmp(command, "export") == 0)
        come_to("export");
    return real(fd, name, flags, mode);
}
