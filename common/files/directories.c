#include "common/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel's own bound on links in one path (MAXSYMLINKS). */
enum { LINKS_MAX = 40 };

/* A walk from / to a directory, one component at a time. Like openat2 with RESOLVE_NO_SYMLINKS,
 * but it follows trusted links (/var/run), and needs no kernel or seccomp profile that knows
 * openat2. */
struct walk {
    char rest[PATH_MAX]; /* what is still to be walked */
    int at;              /* the directory reached; owned */
    int links;
    const char *path; /* as the caller gave it, for messages */
    bool make;
    mode_t mode;
};

/* A link is trusted if only root or the caller can have put it into its directory. */
static bool link_is_trusted(int directory, const struct stat *link)
{
    struct stat st;
    bool ours = link->st_uid == 0 || link->st_uid == geteuid();
    if (!ours || fstat(directory, &st) != 0)
        return false;
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return false;
    return (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (st.st_mode & S_ISVTX) != 0;
}

static int walk_link(struct walk *walk, const char *name, const struct stat *link,
                     struct error *error)
{
    char joined[PATH_MAX];
    char target[PATH_MAX];
    if (!link_is_trusted(walk->at, link) || ++walk->links > LINKS_MAX)
        return error_set(error, EX_CONFIG,
                         "%s: %s is a symbolic link that others than root could have made",
                         walk->path, name);
    ssize_t length = readlinkat(walk->at, name, target, sizeof(target) - 1);
    if (length < 0)
        return error_set(error, 1, "%s: read link %s: %s", walk->path, name, strerror(errno));
    target[length] = '\0';
    int wanted = snprintf(joined, sizeof(joined), "%s/%s", target, walk->rest);
    if (wanted < 0 || (size_t)wanted >= sizeof(joined))
        return error_set(error, EX_CONFIG, "%s: %s", walk->path, strerror(ENAMETOOLONG));
    memcpy(walk->rest, joined, sizeof(joined));
    if (target[0] != '/')
        return 0;
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_set(error, 1, "/: %s", strerror(errno));
    close(walk->at);
    walk->at = root;
    return 0;
}

static int walk_enter(struct walk *walk, const char *name, bool last, struct error *error)
{
    /* Only the last directory is listed or locked. Search permission is enough for those above. */
    int access = last ? O_RDONLY : O_PATH;
    int next = openat(walk->at, name, access | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* Root without CAP_DAC_OVERRIDE can stat another user's directory, but not read it. */
    if (next < 0 && errno == EACCES && last)
        next = openat(walk->at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0)
        return error_set(error, errno == EACCES ? EX_NOPERM : EX_CONFIG, "%s: open %s: %s",
                         walk->path, name, strerror(errno));
    close(walk->at);
    walk->at = next;
    return 0;
}

static int walk_component(struct walk *walk, const char *name, bool last, struct error *error)
{
    struct stat st;
    if (strcmp(name, "..") == 0)
        return error_set(error, EX_CONFIG, "%s: \"..\" is not accepted in a path", walk->path);
    if (fstatat(walk->at, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISLNK(st.st_mode))
            return walk_link(walk, name, &st, error);
        return walk_enter(walk, name, last, error);
    }
    if (errno != ENOENT || !walk->make)
        return error_set(error, errno == ENOENT ? EX_CONFIG : 1, "%s: %s: %s", walk->path, name,
                         strerror(errno));
    mode_t mode = last ? walk->mode : 0755;
    if (mkdirat(walk->at, name, mode) != 0 && errno != EEXIST)
        return error_set(error, errno == EACCES ? EX_NOPERM : 1, "%s: make %s: %s", walk->path,
                         name, strerror(errno));
    return walk_enter(walk, name, last, error);
}

static int walk_all(struct walk *walk, struct error *error)
{
    for (;;) {
        char name[NAME_MAX + 1];
        size_t skip = strspn(walk->rest, "/");
        size_t length = strcspn(walk->rest + skip, "/");
        if (length == 0)
            return 0;
        if (length > NAME_MAX)
            return error_set(error, EX_CONFIG, "%s: %s", walk->path, strerror(ENAMETOOLONG));
        memcpy(name, walk->rest + skip, length);
        name[length] = '\0';
        const char *rest = walk->rest + skip + length;
        bool last = rest[strspn(rest, "/")] == '\0';
        memmove(walk->rest, rest, strlen(rest) + 1);
        if (strcmp(name, ".") != 0 && walk_component(walk, name, last, error) != 0)
            return -1;
    }
}

static int walk_start(struct walk *walk, const char *path, struct error *error)
{
    walk->path = path;
    if (path[0] != '/' || strlcpy(walk->rest, path, sizeof(walk->rest)) >= sizeof(walk->rest))
        return error_set(error, EX_CONFIG, "%s: not an absolute path", path);
    bool is_root = path[strspn(path, "/")] == '\0';
    walk->at = open("/", (is_root ? O_RDONLY : O_PATH) | O_DIRECTORY | O_CLOEXEC);
    if (walk->at < 0)
        return error_set(error, 1, "/: %s", strerror(errno));
    if (walk_all(walk, error) == 0)
        return walk->at;
    close(walk->at);
    return -1;
}

int directory_open(const char *path, struct error *error)
{
    struct walk walk = {.make = false};
    return walk_start(&walk, path, error);
}

int directory_make(const char *path, mode_t mode, struct error *error)
{
    struct walk walk = {.make = true, .mode = mode};
    return walk_start(&walk, path, error);
}
