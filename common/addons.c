#include "common/addons.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In a sticky directory others can add names, but not replace ours. */
static bool others_can_write(const struct stat *st, const struct user *user, bool sticky_will_do)
{
    bool by_group = (st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 && st->st_gid != user->gid;
    bool by_all = (st->st_mode & S_IWOTH) != 0;
    if (st->st_uid != 0 && st->st_uid != user->uid)
        return true;
    return (by_group || by_all) &&
           !(sticky_will_do && S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0);
}

static int check_one(const char *path, bool sticky_will_do, const struct config *config,
                     struct error *error)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return error_set(error, EX_CONFIG, "%s: %s", path, strerror(errno));
    if (!others_can_write(&st, &config->user, sticky_will_do))
        return 0;
    return error_set(error, EX_CONFIG,
                     "%s (uid %u, gid %u, mode %04o) can be written by others than root and user "
                     "%s; set " CONFIG_PREFIX "MITMPROXY_WRITABLE_SCRIPTS=on to accept that",
                     path, st.st_uid, st.st_gid, st.st_mode & 07777, config->user.name);
}

/* Where an addon is, names must not be added either: Python takes modules and byte code from there
 * (__pycache__, which may not be there). */
static int check_place(const char *directory, const struct config *config, struct error *error)
{
    char cache[PATH_MAX + 16];
    struct stat st;
    if (check_one(directory, false, config, error) != 0)
        return -1;
    snprintf(cache, sizeof(cache), "%s/__pycache__", directory);
    return lstat(cache, &st) == 0 ? check_one(cache, false, config, error) : 0;
}

/* The path itself and every directory on the way to it. */
static int check_path(const char *path, const struct config *config, struct error *error)
{
    char prefix[PATH_MAX];
    if (strlcpy(prefix, path, sizeof(prefix)) >= sizeof(prefix))
        return error_set(error, EX_CONFIG, "%s: %s", path, strerror(ENAMETOOLONG));
    if (check_one("/", true, config, error) != 0)
        return -1;
    for (char *slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool last = strchr(slash + 1, '/') == NULL;
        int result =
            last ? check_place(prefix, config, error) : check_one(prefix, true, config, error);
        if (result != 0)
            return -1;
        *slash = '/';
    }
    return check_one(prefix, false, config, error);
}

bool addons_shipped(const struct config *config, enum addon addon, char path[static PATH_MAX])
{
    static const char *const names[] = {"stream.py", "started.py", "quick_start.py"};
    snprintf(path, PATH_MAX, "%.4000s/%s", config->scripts_dir, names[addon]);
    if (addon == ADDON_QUICK_START && !config->quick_start)
        return false;
    return addon == ADDON_STREAM || access(path, F_OK) == 0 || errno != ENOENT;
}

/* By the name that is configured, whose directories may hold links, and where they lead. */
static int check_addon(const char *path, const struct config *config, struct error *error)
{
    char resolved[PATH_MAX];
    if (realpath(path, resolved) == NULL)
        return error_set(error, EX_CONFIG, "addon %s: %s", path, strerror(errno));
    if (check_path(path, config, error) != 0 || check_path(resolved, config, error) != 0)
        return error_prefix(error, "addon %.200s", path);
    return 0;
}

int addons_check(const struct config *config, struct error *error)
{
    char path[PATH_MAX];
    if (config->writable_scripts)
        return 0;
    for (enum addon addon = ADDON_STREAM; addon < ADDONS_SHIPPED; addon++)
        if (addons_shipped(config, addon, path) && check_addon(path, config, error) != 0)
            return -1;
    for (size_t i = 0; i < config->scripts.count; i++)
        if (check_addon(config->scripts.items[i], config, error) != 0)
            return -1;
    return 0;
}
