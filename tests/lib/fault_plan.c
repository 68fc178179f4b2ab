#include "fault_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inherited.h"

static const struct {
    const char *name;
    int number;
} errors[] = {
    {"EPERM", EPERM},
    {"ENOENT", ENOENT},
    {"EINTR", EINTR},
    {"EIO", EIO},
    {"EAGAIN", EAGAIN},
    {"ENOMEM", ENOMEM},
    {"EACCES", EACCES},
    {"EBUSY", EBUSY},
    {"EINVAL", EINVAL},
    {"EMFILE", EMFILE},
    {"ENOPROTOOPT", ENOPROTOOPT},
    {"EPROTONOSUPPORT", EPROTONOSUPPORT},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EAFNOSUPPORT", EAFNOSUPPORT},
    {"ENOBUFS", ENOBUFS},
};

/* A fault with a name that nobody knows would be no fault: better no test at all. */
static int error_number(const char *name)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].number;
    fprintf(stderr, "fault: what is %s?\n", name);
    abort();
}

const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

int refuse(const char *error)
{
    errno = error_number(error);
    return -1;
}

/* As FAULT names them. */
static const char *const names[CALLS] = {"setsockopt", "getsockopt", "socket",  "sendmsg",
                                         "sendto",     "recvmsg",    "recvfrom"};

/* setup works in several processes: calls are counted over all of them, and a kill is one of all.
 */
static struct {
    pid_t first;
    atomic_uint made[CALLS];
} * shared;

__attribute__((constructor)) static void share(void)
{
    int first;
    shared = inherited_memory("FAULT_SHARED", sizeof(*shared), &first);
    if (first)
        shared->first = getpid();
}

static unsigned int count(enum call call)
{
    return atomic_fetch_add(&shared->made[call], 1) + 1;
}

static void die(void)
{
    kill(shared->first, SIGKILL);
    raise(SIGKILL);
}

/* What that word of FAULT means. */
static struct fault parse_fault(const char *what)
{
    if (strcmp(what, "kill-before") == 0)
        die();
    if (strcmp(what, "kill-after") == 0)
        return (struct fault){KILL_AFTER, 0};
    if (strncmp(what, "after-", 6) == 0)
        return (struct fault){REFUSE_AFTER, error_number(what + 6)};
    refuse(what);
    return (struct fault){REFUSED, errno};
}

static void note(const char *call, unsigned n, const char *object)
{
    const char *path = setting("FAULT_LOG");
    char line[160];
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (fd < 0)
        return;
    int length = snprintf(line, sizeof(line), "%s %u %s\n", call, n, object);
    if (write(fd, line, (size_t)length) < 0)
        abort();
    close(fd);
}

struct fault fault_of(enum call call, const char *object)
{
    unsigned int n = count(call);
    const char *plan = setting("FAULT");
    char copy[256], *rest = copy, *item;
    snprintf(copy, sizeof(copy), "%s", plan != NULL ? plan : "");
    while ((item = strsep(&rest, ",")) != NULL) {
        const char *name = strsep(&item, ":");
        const char *at = strsep(&item, ":");
        if (item == NULL || strcmp(name, names[call]) != 0)
            continue;
        unsigned long first = strtoul(at, NULL, 10);
        if (n == first || (n > first && at[strlen(at) - 1] == '+')) {
            note(names[call], n, object);
            return parse_fault(item);
        }
    }
    return (struct fault){GO_ON, 0};
}

ssize_t finish(struct fault fault, ssize_t result)
{
    if (fault.outcome == KILL_AFTER)
        die();
    if (fault.outcome != REFUSE_AFTER)
        return result;
    errno = fault.error;
    return -1;
}
