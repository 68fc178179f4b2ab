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

/* A directory of code: a package, what is in one, and byte code. Beside an addon one that has no
 * __init__ is not taken for a package, so that whatever else lies there (/usr, or a volume that all
 * may write to) is left alone. */
static bool holds_code(const FTSENT *directory)
{
    static const char *const inits[] = {"__init__.py", "__init__.pyc", "__init__.so",
                                        "__init__.abi3.so"};
    char init[PATH_MAX + 32];
    struct stat st;
    if (directory->fts_level != 1 || strcmp(directory->fts_name, "__pycache__") == 0)
        return true;
    for (size_t i = 0; i < sizeof(inits) / sizeof(inits[0]); i++) {
        snprintf(init, sizeof(init), "%s/%s", directory->fts_path, inits[i]);
        if (lstat(init, &st) == 0)
            return true;
    }
    return false;
}

static bool is_imported(const char *name)
{
    const char *suffix = strrchr(name, '.');
    return suffix != NULL && (strcmp(suffix, ".py") == 0 || strcmp(suffix, ".pyc") == 0 ||
                              strcmp(suffix, ".so") == 0);
}

/* Links to packages are followed (kubelet makes such); fts(3) passes over one that leads to where
 * it is. */
static int check_link(FTS *tree, FTSENT *link, const struct user *user, struct error *error)
{
    struct stat st;
    bool is_file = stat(link->fts_path, &st) == 0 && !S_ISDIR(st.st_mode);
    bool code = !is_file && holds_code(link);
    if (code && link->fts_info == FTS_SL)
        fts_set(tree, link, FTS_FOLLOW);
    return code || is_imported(link->fts_name) ? addon_path_check(link->fts_path, user, error) : 0;
}

/* This runs as the user that Python runs as: what that user cannot reach is not there for Python. A
 * directory which cannot be listed has no modules, for Python takes it for empty; but byte code and
 * a package's __init__.py are opened by name, for which search permission is enough. */
static int check_unseen(const FTSENT *entry, struct error *error)
{
    bool by_name = entry->fts_level > 0 || strcmp(entry->fts_name, "__pycache__") == 0;
    bool hidden = entry->fts_errno == EACCES || entry->fts_errno == ENOENT;
    if (hidden && (entry->fts_info != FTS_DNR || !by_name ||
                   faccessat(AT_FDCWD, entry->fts_path, X_OK, AT_EACCESS) != 0))
        return 0;
    return error_set(error, EX_CONFIG,
                     "%s: %s; what Python takes from there cannot be checked: make it listable, or "
                     "set " CONFIG_PREFIX "MITMPROXY_WRITABLE_SCRIPTS=on to accept that",
                     entry->fts_path, strerror(entry->fts_errno));
}

static int check_entry(FTS *tree, FTSENT *entry, const struct user *user, struct error *error)
{
    const char *path = entry->fts_path;
    switch (entry->fts_info) {
    case FTS_D:
        if (entry->fts_level == 0 && strcmp(entry->fts_name, "__pycache__") != 0)
            return 0; /* judged already, on the way to the addon */
        if (holds_code(entry))
            return addon_path_judge(path, entry->fts_statp, false, user, error);
        fts_set(tree, entry, FTS_SKIP);
        return 0;
    case FTS_F:
    case FTS_DEFAULT:
        return is_imported(entry->fts_name)
                   ? addon_path_judge(path, entry->fts_statp, false, user, error)
                   : 0;
    case FTS_SL:
    case FTS_SLNONE:
        return check_link(tree, entry, user, error);
    case FTS_DNR:
    case FTS_NS:
    case FTS_ERR:
        return check_unseen(entry, error);
    default:
        return 0;
    }
}

/* What Python takes from an addon's directory, which mitmproxy puts on its path, unless that is the
 * directory which was looked at last (most addons stand side by side). __pycache__ is named as
 * well: it may be a link, or stand in a directory that cannot be listed. */
static int check_imports(const char *addon, char last[static PATH_MAX], const struct user *user,
                         struct error *error)
{
    char directory[PATH_MAX], cache[PATH_MAX];
    size_t length = (size_t)(strrchr(addon, '/') - addon);
    snprintf(directory, sizeof(directory), "%.*s/", (int)length, addon);
    if (strcmp(directory, last) == 0)
        return 0;
    strlcpy(last, directory, PATH_MAX);
    snprintf(cache, sizeof(cache), "%.*s/__pycache__", (int)length, addon);
    if (addon_path_check(cache, user, error) != 0)
        return -1;
    FTS *tree = fts_open((char *[]){directory, cache, NULL},
                         FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
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

bool addons_shipped(const struct config *config, enum addon addon, char path[static PATH_MAX])
{
    static const char *const names[] = {
        [ADDON_ADMISSION] = "admission.py",     [ADDON_STREAM] = "stream.py",
        [ADDON_STARTED] = "started.py",         [ADDON_PATCHES] = "mitmproxy_patches.py",
        [ADDON_QUICK_START] = "quick_start.py",
    };
    snprintf(path, PATH_MAX, "%.4000s/%s", config->scripts_dir, names[addon]);
    if (addon != ADDON_QUICK_START)
        return true;
    return config->quick_start && (access(path, F_OK) == 0 || errno != ENOENT);
}

/* mitmproxy takes what stands beside the name that is configured; Python, for the program that it
 * runs itself, what stands beside the file to which that leads. */
static int check_addon(const char *path, char last[static PATH_MAX], const struct config *config,
                       struct error *error)
{
    char resolved[PATH_MAX];
    if (realpath(path, resolved) == NULL)
        return error_set(error, EX_CONFIG, "addon %s: %s", path, strerror(errno));
    if (addon_path_check(path, &config->user, error) != 0 ||
        check_imports(path, last, &config->user, error) != 0 ||
        (strcmp(path, resolved) != 0 && check_imports(resolved, last, &config->user, error) != 0))
        return error_prefix(error, "addon %.200s", path);
    return 0;
}

int addons_check(const struct config *config, struct error *error)
{
    char path[PATH_MAX], last[PATH_MAX] = "";
    if (config->writable_scripts)
        return 0;
    for (enum addon addon = 0; addon < ADDONS_SHIPPED; addon++)
        if (addons_shipped(config, addon, path) && check_addon(path, last, config, error) != 0)
            return -1;
    for (size_t i = 0; i < config->scripts.count; i++)
        if (check_addon(config->scripts.items[i], last, config, error) != 0)
            return -1;
    return 0;
}
