#include "common/mitmdump/addons.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mitmdump/addon_path.h"

/* This process is the user that Python runs as: what it cannot reach, Python cannot either. But in
 * a directory that can be searched and not listed, Python finds byte code by its name. */
static int check_unseen(const FTSENT *entry, struct error *error)
{
    bool hidden = entry->fts_errno == EACCES || entry->fts_errno == ENOENT;
    if (hidden &&
        (entry->fts_info != FTS_DNR || faccessat(AT_FDCWD, entry->fts_path, X_OK, AT_EACCESS) != 0))
        return 0;
    return error_set(error, EX_CONFIG,
                     "%s: %s; what Python takes from there cannot be checked: make it listable, or "
                     "set " CONFIG_PREFIX "MITMPROXY_WRITABLE_SCRIPTS=on to accept that",
                     entry->fts_path, strerror(entry->fts_errno));
}

/* Follows links to files and to directories, because kubelet makes both. */
static int check_link(FTS *tree, FTSENT *link, const struct user *user, struct error *error)
{
    struct stat st;
    if (stat(link->fts_path, &st) == 0 && S_ISDIR(st.st_mode))
        fts_set(tree, link, FTS_FOLLOW);
    return addon_path_check(link->fts_path, user, error);
}

static int check_entry(FTS *tree, FTSENT *entry, const struct user *user, struct error *error)
{
    switch (entry->fts_info) {
    case FTS_D:
    case FTS_F:
    case FTS_DEFAULT:
        return addon_path_judge(entry->fts_path, entry->fts_statp, false, user, error);
    case FTS_SL:
        return check_link(tree, entry, user, error);
    case FTS_SLNONE:
        return addon_path_check(entry->fts_path, user, error);
    case FTS_DNR:
    case FTS_NS:
    case FTS_ERR:
        return check_unseen(entry, error);
    default:
        return 0;
    }
}

/* mitmproxy puts an addon's directory on Python's path: whatever lies there, or below, may be
 * imported. */
static int check_directory_of(const char *addon, const struct user *user, struct error *error)
{
    char directory[PATH_MAX];
    snprintf(directory, sizeof(directory), "%.*s/", (int)(strrchr(addon, '/') - addon), addon);
    FTS *tree =
        fts_open((char *[]){directory, NULL}, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (tree == NULL)
        return error_set(error, 1, "%s: %s", directory, strerror(errno));
    FTSENT *entry;
    int result = 0;
    while (result == 0 && (entry = fts_read(tree)) != NULL)
        result = check_entry(tree, entry, user, error);
    if (result == 0 && errno != 0)
        result = error_set(error, 1, "%s: %s", directory, strerror(errno));
    fts_close(tree);
    return result;
}

void shipped_addon_path(const struct config *config, enum addon addon, char path[static PATH_MAX])
{
    static const char *const names[] = {
        [ADDON_ADMISSION] = "admission.py", [ADDON_STREAM] = "stream.py",
        [ADDON_WORKER] = "worker.py",       [ADDON_PATCHES] = "mitmproxy_patches.py",
        [ADDON_LAUNCH] = "launch.py",       [ADDON_SPEED] = "speed.py",
    };
    snprintf(path, PATH_MAX, "%.4000s/%s", config->scripts_dir, names[addon]);
}

/* mitmproxy imports from the directory of the configured path. Python imports, for the script that
 * it runs itself, from the directory of the file to which the path leads. */
static int check_addon(const char *path, const struct config *config, struct error *error)
{
    char resolved[PATH_MAX];
    if (realpath(path, resolved) == NULL)
        return error_set(error, EX_CONFIG, "addon %s: %s", path, strerror(errno));
    if (addon_path_check(path, &config->user, error) != 0 ||
        check_directory_of(path, &config->user, error) != 0 ||
        (strcmp(path, resolved) != 0 && check_directory_of(resolved, &config->user, error) != 0))
        return error_prefix(error, "addon %.200s", path);
    return 0;
}

int addons_check(const struct config *config, struct error *error)
{
    char path[PATH_MAX];
    if (config->writable_scripts)
        return 0;
    for (enum addon addon = 0; addon < ADDONS_SHIPPED; addon++) {
        shipped_addon_path(config, addon, path);
        if (check_addon(path, config, error) != 0)
            return -1;
    }
    for (size_t i = 0; i < config->scripts.count; i++)
        if (check_addon(config->scripts.items[i], config, error) != 0)
            return -1;
    return 0;
}
