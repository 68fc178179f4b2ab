#include "common/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"

enum { LOCK_WAIT_MS = 1000 };

static int read_from(int directory, const char *name, const char *path, uid_t owner,
                     struct state *state, struct error *error)
{
    const struct file_limits limits = {.max_size = STATE_TEXT_MAX, .owner = owner};
    size_t size;
    memset(state, 0, sizeof(*state));
    char *text = file_read(directory, name, &limits, path, &size, error);
    if (text == NULL)
        return -1;
    int result = state_parse(text, size, state, error);
    free(text);
    if (result != 0) {
        error_prefix(error, "%s", path);
        errno = EINVAL;
    }
    return result;
}

int state_read(const char *path, uid_t owner, struct state *state, struct error *error)
{
    const char *name;
    memset(state, 0, sizeof(*state));
    errno = 0;
    int directory = directory_of(path, &name, error);
    if (directory < 0)
        return -1;
    int result = read_from(directory, name, path, owner, state, error);
    int reason = errno;
    close(directory);
    errno = reason;
    return result;
}

/* Not forced to disk: after a crash of the machine it is stale in any case. */
static int write_to(int directory, const char *name, const char *path, const struct state *state,
                    struct error *error)
{
    char text[STATE_TEXT_MAX];
    size_t size = state_format(state, text);
    if (size == 0)
        return error_set(error, 1, "%s: %s", path, strerror(errno));
    const struct file_content content = {path, text, size, 0644, false};
    return file_replace(directory, name, &content, error);
}

static void copy_half(struct state *to, enum state_half half, const struct state *from)
{
    const size_t border = offsetof(struct state, mitm);
    if (half == STATE_SETUP) {
        memcpy(to, from, border);
        to->setup_time = time(NULL);
    } else {
        memcpy((char *)to + border, (const char *)from + border, sizeof(*to) - border);
        to->mitm_time = time(NULL);
    }
}

/* The lock is a file of root's and the mitmproxy group's, which setup makes: others can open the
 * directory, and could lock that for ever. A writer that does not get it goes on without: the file
 * is whole in any case. Returns a descriptor or -1. */
static int lock(int directory, const char *name, const char *path)
{
    char lock_name[NAME_MAX];
    snprintf(lock_name, sizeof(lock_name), ".%.200s.lock", name);
    int fd = openat(directory, lock_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && file_lock(fd, LOCK_WAIT_MS) != 0)
        log_warn("%s: written without its lock: %s", path, strerror(errno));
    return fd;
}

int state_make_lock(const char *path, gid_t gid, struct error *error)
{
    const char *name;
    char lock_name[NAME_MAX];
    int directory = directory_of(path, &name, error);
    if (directory < 0)
        return -1;
    snprintf(lock_name, sizeof(lock_name), ".%.200s.lock", name);
    int fd = openat(directory, lock_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* The mode comes last: until the group is right nobody else shall open it. */
    if (fd >= 0 && gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) == 0)
        fchmod(fd, 0660);
    int reason = errno;
    if (fd >= 0)
        close(fd);
    close(directory);
    if (fd >= 0 || reason == EEXIST)
        return 0;
    return error_set(error, 1, "%s: make its %s: %s", path, lock_name, strerror(reason));
}

int state_write(const char *path, uid_t owner, enum state_half half, const struct state *state,
                struct error *error)
{
    struct state merged;
    struct error ignored;
    const char *name;
    int directory = directory_of(path, &name, error);
    if (directory < 0)
        return -1;
    int lock_fd = lock(directory, name, path);
    read_from(directory, name, path, owner, &merged, &ignored);
    copy_half(&merged, half, state);
    int result = write_to(directory, name, path, &merged, error);
    if (lock_fd >= 0)
        close(lock_fd);
    close(directory);
    return result;
}

int state_check_current(const struct state *state, struct error *error)
{
    char here[NAMESPACE_ID_SIZE];
    char boot[NAMESPACE_ID_SIZE];
    network_namespace_id(here);
    boot_id(boot);
    if (strcmp(state->boot, boot) != 0)
        return error_set(error, 1, "setup ran before the last boot of this machine");
    if (strcmp(state->netns, here) != 0)
        return error_set(error, 1, "setup ran in another network namespace (%s, this is %s)",
                         state->netns, here);
    return 0;
}
