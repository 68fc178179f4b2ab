#include "common/state/state.h"

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

#include "common/base/log.h"
#include "common/files/files.h"

enum { LOCK_WAIT_MS = 1000 };

static int place_open(struct state_place *place, const char *path, uid_t owner, struct error *error)
{
    place->path = path;
    place->owner = owner;
    place->directory = directory_of(path, &place->name, error);
    return place->directory >= 0 ? 0 : -1;
}

int state_read_at(const struct state_place *place, struct state *state, struct error *error)
{
    const struct file_limits limits = {.max_size = STATE_TEXT_MAX, .owner = place->owner};
    size_t size;
    memset(state, 0, sizeof(*state));
    char *text = file_read(place->directory, place->name, &limits, place->path, &size, error);
    if (text == NULL)
        return -1;
    int result = state_parse(text, size, state, error);
    free(text);
    if (result != 0) {
        error_prefix(error, "%s", place->path);
        errno = EINVAL;
    }
    return result;
}

int state_read(const char *path, uid_t owner, struct state *state, struct error *error)
{
    struct state_place place;
    memset(state, 0, sizeof(*state));
    errno = 0;
    if (place_open(&place, path, owner, error) != 0)
        return -1;
    int result = state_read_at(&place, state, error);
    int reason = errno;
    close(place.directory);
    errno = reason;
    return result;
}

/* Not forced to disk: after a crash of the machine it is stale in any case. */
static int write_to(const struct state_place *place, const struct state *state, struct error *error)
{
    char text[STATE_TEXT_MAX];
    size_t size = state_format(state, text);
    if (size == 0)
        return error_set(error, 1, "%s: %s", place->path, strerror(errno));
    const struct file_content content = {place->path, text, size, 0644, false};
    return file_replace(place->directory, place->name, &content, error);
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

/* Keeps the two writers from overwriting each other's half. setup makes the lock file for root and
 * the mitmproxy group; the directory would not do, because anybody can open it and lock it for
 * ever. The mitmproxy user can write to the directory, so a hostile one can hold the lock or
 * replace its file. That only delays each write by a second: opening it never blocks, and a writer
 * without the lock goes on, since the file is replaced as a whole in any case. Returns a descriptor
 * or -1. */
static int lock(const struct state_place *place)
{
    char lock_name[NAME_MAX];
    snprintf(lock_name, sizeof(lock_name), ".%.200s.lock", place->name);
    int fd = openat(place->directory, lock_name,
                    O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && file_lock(fd, LOCK_WAIT_MS) != 0)
        log_warn("%s: written without its lock: %s", place->path, strerror(errno));
    return fd;
}

int state_make_lock(const struct state_place *place, gid_t gid, struct error *error)
{
    char lock_name[NAME_MAX];
    snprintf(lock_name, sizeof(lock_name), ".%.200s.lock", place->name);
    int fd = openat(place->directory, lock_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    /* The mode comes last: nobody else may open the file before its group is right. */
    if (fd >= 0 && gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) == 0)
        fchmod(fd, 0660);
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || reason == EEXIST)
        return 0;
    return error_set(error, 1, "%s: make its %s: %s", place->path, lock_name, strerror(reason));
}

int state_write_at(const struct state_place *place, enum state_half half, const struct state *state,
                   struct error *error)
{
    struct state merged;
    struct error ignored;
    int lock_fd = lock(place);
    state_read_at(place, &merged, &ignored);
    copy_half(&merged, half, state);
    int result = write_to(place, &merged, error);
    if (lock_fd >= 0)
        close(lock_fd);
    return result;
}

int state_write(const char *path, uid_t owner, enum state_half half, const struct state *state,
                struct error *error)
{
    struct state_place place;
    if (place_open(&place, path, owner, error) != 0)
        return -1;
    int result = state_write_at(&place, half, state, error);
    close(place.directory);
    return result;
}

void state_forget_rules(struct state *state)
{
    state->backend[0] = '\0';
    state->rules = 0;
    state->gate[0] = '\0';
    state->gate_error[0] = '\0';
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
