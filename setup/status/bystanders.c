#include "setup/status/bystanders.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/characters.h"

enum { DEPTH_MAX = 64, NAME_SIZE = 17 };

struct process {
    pid_t parent;
    uid_t uid; /* effective */
    char name[NAME_SIZE];
};

static int read_process(pid_t pid, struct process *process)
{
    char path[32], line[256];
    int found = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return -1;
    while (found < 3 && fgets(line, sizeof(line), in) != NULL)
        found += sscanf(line, "Name: %16[^\n]", process->name) == 1 ||
                 sscanf(line, "PPid: %d", &process->parent) == 1 ||
                 sscanf(line, "Uid: %*u %u", &process->uid) == 1;
    fclose(in);
    return found == 3 ? 0 : -1;
}

/* Is one of the processes above pid, or it itself, the other one? */
static bool descends_from(pid_t pid, pid_t other)
{
    struct process process;
    for (int depth = 0; other > 0 && pid > 0 && depth < DEPTH_MAX; depth++) {
        if (pid == other)
            return true;
        if (read_process(pid, &process) != 0)
            return false;
        pid = process.parent;
    }
    return false;
}

/* Where the link may not be followed, it may be here. */
static bool is_in_this_namespace(pid_t pid)
{
    char path[32];
    struct stat here, there;
    snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
    if (stat("/proc/self/ns/net", &here) != 0)
        return true;
    if (stat(path, &there) != 0)
        return errno == EACCES; /* else it has ended */
    return here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

static bool is_ours(pid_t pid, pid_t mitmdump)
{
    /* healthd is above mitmdump, the caller's shells are above us. */
    return descends_from(pid, mitmdump) || descends_from(mitmdump, pid) ||
           descends_from(getpid(), pid);
}

void bystanders_print(uid_t uid, uint32_t mitmdump, FILE *out)
{
    struct process process;
    DIR *list = opendir("/proc");
    if (list == NULL)
        return;
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        pid_t pid = (pid_t)strtonum(entry->d_name, 1, INT_MAX, NULL);
        if (pid == 0 || read_process(pid, &process) != 0 || process.uid != uid ||
            is_ours(pid, (pid_t)mitmdump) || !is_in_this_namespace(pid))
            continue;
        make_printable(process.name);
        fprintf(out,
                "  WARNING: process %d (%s) runs as uid %u: it bypasses the proxy and can read "
                "the key\n",
                pid, process.name, uid);
    }
    closedir(list);
}
