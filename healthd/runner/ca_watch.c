#include "healthd/runner/ca_watch.h"

#include <string.h>

#include "common/state/state.h"

/* Fills in the hash of the file that setup has checked, "" if setup has recorded none. */
static void checked_by_setup(const struct config *config, char sha256[static CA_FILE_SHA256_SIZE])
{
    struct state state;
    struct error ignored;
    state_read(config->state_file, config->user.uid, &state, &ignored);
    strlcpy(sha256, state.ca_file_sha256, CA_FILE_SHA256_SIZE);
}

int ca_watch_read(const struct config *config, struct ca_file *file, struct error *error)
{
    char checked[CA_FILE_SHA256_SIZE], path[PATH_MAX];
    size_t size;
    struct error why;
    char *text = ca_file_read(config, file, &size, &why);
    if (text == NULL)
        return error_set(error, why.status, "CA file %s", why.text);
    ca_file_release(text, size);
    checked_by_setup(config, checked);
    if (checked[0] == '\0' || strcmp(checked, file->sha256) == 0)
        return 0;
    ca_file_path(config, path);
    return error_set(error, EX_CONFIG, "CA file %.300s is not the one that setup has checked",
                     path);
}

enum ca_change ca_watch_look(const struct config *config, struct ca_file *loaded,
                             struct error *error)
{
    struct ca_file now;
    if (ca_file_is_untouched(config, loaded))
        return CA_SAME;
    if (ca_watch_read(config, &now, error) != 0)
        return CA_WRONG;
    bool same = strcmp(now.sha256, loaded->sha256) == 0;
    if (same)
        *loaded = now;
    return same ? CA_SAME : CA_REPLACED;
}
