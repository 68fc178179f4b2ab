#include "common/mitmdump/addon_path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config/config.h"

/* The kernel's own bound on links in one path (MAXSYMLINKS). */
enum { LINKS_MAX = 40 };

/* A walk from / along a path, one component at a time, as the kernel resolves it. It checks paths,
 * not descriptors, because mitmdump opens the file by its path, later. A path that was accepted
 * stays as it is, since nobody else can write to its directories. */
struct walk {
    char reached[PATH_MAX]; /* without links; "" is the root directory */
    char text[PATH_MAX];
    char *left; /* the part of text that is still to be walked; NULL for none */
    int links;
    const char *path; /* as the caller gave it, for messages */
    const struct user *user;
};

/* With an ACL the group's bits are its mask, so they show a write permission of anybody in it. No
 * group is an exception: any user may be in root's group (as on OpenShift), and the mitmproxy
 * user's group may be the pod's fsGroup. */
static bool others_can_write(const struct stat *st, bool sticky_will_do)
{
    if (S_ISLNK(st->st_mode) || (st->st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return false;
    return !(sticky_will_do && S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0);
}

int addon_path_judge(const char *path, const struct stat *st, bool sticky_will_do,
                     const struct user *user, struct error *error)
{
    char writer[64] = "everybody";
    bool foreign = st->st_uid != 0 && st->st_uid != user->uid;
    if (!foreign && !others_can_write(st, sticky_will_do))
        return 0;
    if (foreign)
        snprintf(writer, sizeof(writer), "owner %u", st->st_uid);
    else if ((st->st_mode & S_IWOTH) == 0)
        snprintf(writer, sizeof(writer), "group %u or whom an ACL names", st->st_gid);
    return error_set(
        error, EX_CONFIG,
        "%s (uid %u, gid %u, mode %04o) can be written by others than root and user "
        "%s: by %s; accepted is one of these two as owner, and no write permission for "
        "group and others; or set " CONFIG_PREFIX "MITMPROXY_WRITABLE_SCRIPTS=on to accept that",
        path, st->st_uid, st->st_gid, st->st_mode & 07777, user->name, writer);
}

/* In a sticky directory others can neither remove nor rename files of root and the mitmproxy user,
 * and each component is checked to be one. But they can add files, and must not do so beside the
 * addon: Python takes modules and byte code from there. */
static int judge_directory(const struct walk *walk, bool sticky_will_do, struct error *error)
{
    struct stat st;
    const char *path = walk->reached[0] == '\0' ? "/" : walk->reached;
    if (lstat(path, &st) != 0)
        return error_set(error, EX_CONFIG, "%s: %s", path, strerror(errno));
    return addon_path_judge(path, &st, sticky_will_do, walk->user, error);
}

static int follow(struct walk *walk, const char *link, struct error *error)
{
    char target[PATH_MAX];
    ssize_t length = readlink(link, target, sizeof(target) - 1);
    if (length < 0)
        return error_set(error, EX_CONFIG, "read link %s: %s", link, strerror(errno));
    target[length] = '\0';
    if (++walk->links > LINKS_MAX)
        return error_set(error, EX_CONFIG, "%s: %s", walk->path, strerror(ELOOP));
    if (target[0] == '/')
        walk->reached[0] = '\0';
    if (walk->left != NULL && (strlcat(target, "/", sizeof(target)) >= sizeof(target) ||
                               strlcat(target, walk->left, sizeof(target)) >= sizeof(target)))
        return error_set(error, EX_CONFIG, "%s: %s", walk->path, strerror(ENAMETOOLONG));
    strlcpy(walk->text, target, sizeof(walk->text));
    walk->left = walk->text;
    return 0;
}

/* Takes the next name off the path, and the slashes and "." behind it, so that left is NULL after
 * the last name. */
static const char *next_name(struct walk *walk)
{
    const char *name = strsep(&walk->left, "/");
    while (walk->left != NULL && (walk->left[0] == '/' || strncmp(walk->left, "./", 2) == 0))
        walk->left += walk->left[0] == '/' ? 1 : 2;
    if (walk->left != NULL && (walk->left[0] == '\0' || strcmp(walk->left, ".") == 0))
        walk->left = NULL;
    return name;
}

static int enter(struct walk *walk, const char *name, struct error *error)
{
    char path[PATH_MAX];
    struct stat st;
    bool last = walk->left == NULL;
    int wanted = snprintf(path, sizeof(path), "%s/%s", walk->reached, name);
    if (wanted < 0 || (size_t)wanted >= sizeof(path))
        return error_set(error, EX_CONFIG, "%s: %s", walk->path, strerror(ENAMETOOLONG));
    bool there = lstat(path, &st) == 0;
    if (!there && errno != ENOENT && errno != EACCES && errno != ENOTDIR)
        return error_set(error, EX_CONFIG, "%s: %s", path, strerror(errno));
    if (judge_directory(walk, there && !last, error) != 0)
        return -1;
    if (!there) {
        walk->left = NULL;
        return 0;
    }
    if (addon_path_judge(path, &st, !last, walk->user, error) != 0)
        return -1;
    if (S_ISLNK(st.st_mode))
        return follow(walk, path, error);
    strlcpy(walk->reached, path, sizeof(walk->reached));
    return 0;
}

/* reached contains no link: its parent is what is before the last slash. */
static void leave(struct walk *walk)
{
    char *slash = strrchr(walk->reached, '/');
    if (slash != NULL)
        *slash = '\0';
}

int addon_path_check(const char *path, const struct user *user, struct error *error)
{
    struct walk walk = {.path = path, .user = user};
    walk.left = walk.text;
    if (strlcpy(walk.text, path, sizeof(walk.text)) >= sizeof(walk.text))
        return error_set(error, EX_CONFIG, "%s: %s", path, strerror(ENAMETOOLONG));
    while (walk.left != NULL) {
        const char *name = next_name(&walk);
        if (strcmp(name, "..") == 0)
            leave(&walk);
        else if (name[0] != '\0' && strcmp(name, ".") != 0 && enter(&walk, name, error) != 0)
            return -1;
    }
    return 0;
}
