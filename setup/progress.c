#include "setup/progress.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"
#include "setup/claim.h"

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

int progress_begin(const struct config *config, struct state *state, struct error *error)
{
    struct error ignored;
    if (make_directory(config, error) != 0)
        return -1;
    state_read(config->state_file, config->user.uid, state, &ignored);
    if (state_check_current(state, &ignored) != 0) {
        state->backend[0] = '\0';
        state->rules = 0;
    }
    network_namespace_id(state->netns);
    boot_id(state->boot);
    return progress_end(config, state, SETUP_RUNNING, error);
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
