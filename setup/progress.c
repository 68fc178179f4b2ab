#include "setup/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"
#include "setup/claim.h"

enum { LOCK_WAIT_MS = 60 * 1000 };

/* The state file's own name, for is_state_file. */
static const char *state_name;

static bool is_state_file(const char *name)
{
    return strcmp(name, state_name) == 0 ||
           (name[0] == '.' && strncmp(name + 1, state_name, strlen(state_name)) == 0);
}

/* The mitmproxy user's group may write there: healthd's half comes from that user. */
static int make_directory(const struct config *config, struct error *error)
{
    char path[PATH_MAX];
    strlcpy(path, config->state_file, sizeof(path));
    char *slash = strrchr(path, '/');
    if (slash == path || slash[1] == '\0')
        return error_set(error, EX_CONFIG,
                         CONFIG_PREFIX "STATE_FILE=\"%s\": needs a directory of its own", path);
    *slash = '\0';
    state_name = slash + 1;
    const struct claim claim = {
        .what = "state directory",
        .variable = "STATE_FILE",
        .path = path,
        .uid = (uid_t)-1,
        .gid = geteuid() == config->user.uid ? (gid_t)-1 : config->user.gid,
        .mode = 0775,
        .is_ours = is_state_file,
    };
    int directory = directory_make(path, 0775, error);
    if (directory < 0)
        return error_prefix(error, "state directory");
    int result = claim_directory(directory, &claim, error);
    close(directory);
    return result;
}

/* Takes over what an earlier run wrote that still holds. */
static void take_over(const struct config *config, struct state *state)
{
    struct error ignored;
    state_read(config->state_file, config->user.uid, state, &ignored);
    if (state_check_current(state, &ignored) != 0) {
        state->backend[0] = '\0';
        state->rules = 0;
    }
    network_namespace_id(state->netns);
    boot_id(state->boot);
}

int progress_begin(const struct config *config, struct state *state, bool *holds,
                   struct error *error)
{
    gid_t gid = geteuid() == config->user.uid ? (gid_t)-1 : config->user.gid;
    if (make_directory(config, error) != 0 || state_make_lock(config->state_file, gid, error) != 0)
        return -1;
    take_over(config, state);
    *holds = state->setup == SETUP_READY && state->rules > 0;
    return progress_end(config, state, SETUP_RUNNING, error);
}

/* The mitmproxy user can put a file of that name there, and hold its lock for ever: only one of the
 * caller's own counts. */
static int open_lock(int directory, const char *name)
{
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    struct stat st;
    int lock = openat(directory, name, flags, 0600);
    if (lock >= 0 && fstat(lock, &st) == 0 && st.st_uid == geteuid() && S_ISREG(st.st_mode))
        return lock;
    if (lock < 0 && errno != EACCES && errno != ELOOP && errno != ENXIO && errno != EISDIR)
        return -1;
    if (lock >= 0)
        close(lock);
    if (unlinkat(directory, name, 0) != 0)
        return -1;
    return openat(directory, name, flags | O_EXCL, 0600);
}

int progress_lock(const struct config *config, struct state *state, struct error *error)
{
    char lock_name[NAME_MAX];
    const char *name;
    int directory = directory_of(config->state_file, &name, error);
    if (directory < 0)
        return -1;
    snprintf(lock_name, sizeof(lock_name), ".%.200s.setup-lock", name);
    int lock = open_lock(directory, lock_name);
    if (lock < 0)
        error_set(error, 1, "%s: make its %s: %s", config->state_file, lock_name, strerror(errno));
    close(directory);
    if (lock < 0)
        return -1;
    if (file_lock(lock, LOCK_WAIT_MS) != 0) {
        close(lock);
        return error_set(error, EX_UNAVAILABLE, "%s: another setup has worked for a minute",
                         config->state_file);
    }
    take_over(config, state);
    return lock;
}

int progress_end(const struct config *config, struct state *state, enum setup_state how,
                 struct error *error)
{
    state->setup = how;
    state->setup_error[0] = '\0';
    return state_write(config->state_file, config->user.uid, STATE_SETUP, state, error);
}

void progress_fail(const struct config *config, struct state *state, const struct error *why)
{
    struct error error;
    state->setup = SETUP_FAILED;
    strlcpy(state->setup_error, why->text, sizeof(state->setup_error));
    if (state_write(config->state_file, config->user.uid, STATE_SETUP, state, &error) != 0)
        log_warn("%s", error.text);
}
