#include "setup/record/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/files/files.h"
#include "common/process/privileges.h"
#include "setup/record/directory.h"
#include "setup/record/lock.h"

enum { LOCK_WAIT_MS = 60 * 1000 };

static bool is_state_file(const struct claim *claim, const char *name)
{
    return strcmp(name, claim->file) == 0 ||
           (name[0] == '.' && strncmp(name + 1, claim->file, strlen(claim->file)) == 0);
}

/* The mitmproxy user's group may write there: healthd's half comes from that user. */
static gid_t group_of(const struct config *config)
{
    bool is_any = !config->user.known || geteuid() == config->user.uid;
    return is_any ? (gid_t)-1 : config->user.gid;
}

/* Without CAP_CHOWN a new directory could not get that group, so it must exist. The same holds in a
 * debug container: healthd would not see a directory that is made there. */
static int open_directory(const char *path, gid_t group, struct error *error)
{
    if (group == (gid_t)-1 || group == getegid() || capability_held(CAP_CHOWN))
        return directory_make(path, 0775, error);
    int directory = directory_open(path, error);
    if (directory >= 0)
        return directory;
    error->status = EX_NOPERM;
    strlcat(error->text,
            "; to make it needs CAP_CHOWN; a debug container needs the volume with the state file",
            sizeof(error->text));
    return -1;
}

/* A directory that we can write is good enough if we may not change its owner or mode. */
static int claim_place(int directory, const struct claim *claim, struct error *error)
{
    if (claim_directory(directory, claim, error) == 0)
        return 0;
    if (error->status != EX_NOPERM || faccessat(directory, ".", W_OK, AT_EACCESS) != 0)
        return -1;
    log_warn("%s: left as it is; healthd may not be able to write the state file", error->text);
    return 0;
}

static int make_place(const struct config *config, struct state_place *place, struct error *error)
{
    char path[PATH_MAX];
    strlcpy(path, config->state_file, sizeof(path));
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return error_set(error, EX_CONFIG, "STATE_FILE is not known");
    if (slash == path || slash[1] == '\0')
        return error_set(error, EX_CONFIG,
                         CONFIG_PREFIX "STATE_FILE=\"%s\": needs a directory of its own", path);
    *slash = '\0';
    place->path = config->state_file;
    place->name = config->state_file + (slash + 1 - path);
    place->owner = config->user.uid;
    const struct claim claim = {
        .what = "state directory",
        .variable = "STATE_FILE",
        .path = path,
        .uid = (uid_t)-1,
        .gid = group_of(config),
        .mode = 0775,
        .is_ours = is_state_file,
        .file = place->name,
    };
    if (place->directory >= 0)
        close(place->directory);
    place->directory = open_directory(path, claim.gid, error);
    if (place->directory < 0)
        return error_prefix(error, "state directory");
    return claim_place(place->directory, &claim, error);
}

int progress_resume(const struct config *config, struct progress *progress, struct error *error)
{
    if (make_place(config, &progress->place, error) != 0)
        return -1;
    return state_make_lock(&progress->place, group_of(config), error);
}

/* Reads what an earlier run wrote, but for rules of another namespace or boot. */
static void take_over(struct progress *progress)
{
    struct error ignored;
    struct state *state = &progress->state;
    state_read_at(&progress->place, state, &ignored);
    if (state_check_current(state, &ignored) != 0)
        state_forget_rules(state);
    network_namespace_id(state->netns);
    boot_id(state->boot);
}

int progress_begin(const struct config *config, struct progress *progress, struct error *error)
{
    if (progress_resume(config, progress, error) != 0)
        return -1;
    take_over(progress);
    progress->was_ready = progress->state.setup == SETUP_READY && progress->state.rules > 0;
    return progress_write(progress, SETUP_RUNNING, error);
}

int progress_lock(struct progress *progress, struct error *error)
{
    const struct state_place *place = &progress->place;
    char lock_name[NAME_MAX];
    snprintf(lock_name, sizeof(lock_name), ".%.200s.setup-lock", place->name);
    int lock = own_lock(place->directory, lock_name, LOCK_WAIT_MS);
    if (lock < 0 && errno == EWOULDBLOCK)
        return error_set(error, EX_UNAVAILABLE, "%s: another setup has worked for a minute",
                         place->path);
    if (lock < 0 && errno == ESTALE)
        return error_set(error, 1, "%s: somebody takes its %s away again and again", place->path,
                         lock_name);
    if (lock < 0)
        return error_set(error, 1, "%s: make its %s: %s", place->path, lock_name, strerror(errno));
    take_over(progress);
    return lock;
}

int progress_write(struct progress *progress, enum setup_state how, struct error *error)
{
    progress->state.setup = how;
    progress->state.setup_error[0] = '\0';
    return state_write_at(&progress->place, STATE_SETUP, &progress->state, error);
}

void progress_fail(struct progress *progress, const struct error *why)
{
    struct error error;
    struct state *state = &progress->state;
    state->setup = SETUP_FAILED;
    strlcpy(state->setup_error, why->text, sizeof(state->setup_error));
    if (progress->place.directory >= 0 &&
        state_write_at(&progress->place, STATE_SETUP, state, &error) != 0)
        log_warn("%s", error.text);
}
