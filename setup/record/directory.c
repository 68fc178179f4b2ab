#include "setup/record/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config/config.h"

static bool has_owner(const struct claim *claim, const struct stat *st)
{
    uid_t uid = claim->uid == (uid_t)-1 ? geteuid() : claim->uid;
    bool group_fits = claim->gid == (gid_t)-1 || st->st_gid == claim->gid;
    return st->st_uid == uid && group_fits;
}

static bool has_mode(const struct claim *claim, const struct stat *st)
{
    return (st->st_mode & 07777) == claim->mode;
}

static int foreign_error(const struct claim *claim, const char *name, struct error *error)
{
    return error_set(error, EX_CONFIG,
                     "%s %s: holds %s, which is not this project's; " CONFIG_PREFIX
                     "%s needs a directory of its own",
                     claim->what, claim->path, name, claim->variable);
}

static int check_content(int directory, const struct claim *claim, struct error *error)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    int result = 0;
    if (list == NULL) {
        if (fd >= 0)
            close(fd);
        return error_set(error, 1, "%s %s: %s", claim->what, claim->path, strerror(errno));
    }
    for (struct dirent *entry = readdir(list); entry != NULL && result == 0;
         entry = readdir(list)) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0)
            continue;
        if (!claim->is_ours(claim, name))
            result = foreign_error(claim, name, error);
    }
    closedir(list);
    return result;
}

static int change_owner(int directory, const struct claim *claim, struct error *error)
{
    if (fchown(directory, claim->uid, claim->gid) == 0)
        return 0;
    if (errno == EPERM)
        return error_set(error, EX_NOPERM, "%s %s: chown to %d:%d: %s (needs CAP_CHOWN)",
                         claim->what, claim->path, (int)claim->uid, (int)claim->gid,
                         strerror(errno));
    return error_set(error, 1, "%s %s: chown to %d:%d: %s", claim->what, claim->path,
                     (int)claim->uid, (int)claim->gid, strerror(errno));
}

/* Is nothing to be changed? The mode of another user's own directory is left to that user. */
static bool is_settled(const struct claim *claim, const struct stat *st)
{
    return has_owner(claim, st) && (has_mode(claim, st) || st->st_uid != geteuid());
}

int claim_check(int directory, const struct claim *claim, struct error *error)
{
    struct stat st;
    if (fstat(directory, &st) != 0)
        return error_set(error, 1, "%s %s: stat: %s", claim->what, claim->path, strerror(errno));
    if (is_settled(claim, &st))
        return 0;
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return error_set(error, EX_CONFIG, "%s %s: owned by uid %u, expected root or %d",
                         claim->what, claim->path, st.st_uid,
                         (int)(claim->uid == (uid_t)-1 ? geteuid() : claim->uid));
    if ((st.st_mode & S_ISVTX) != 0)
        return error_set(error, EX_CONFIG,
                         "%s %s: mode %04o is that of a shared directory; " CONFIG_PREFIX
                         "%s needs a directory of its own",
                         claim->what, claim->path, st.st_mode & 07777, claim->variable);
    return check_content(directory, claim, error);
}

int claim_directory(int directory, const struct claim *claim, struct error *error)
{
    struct stat st;
    if (claim_check(directory, claim, error) != 0)
        return -1;
    if (fstat(directory, &st) != 0)
        return error_set(error, 1, "%s %s: stat: %s", claim->what, claim->path, strerror(errno));
    if (is_settled(claim, &st))
        return 0;
    /* The mode before the owner: afterwards root needs CAP_FOWNER for it. */
    if (!has_mode(claim, &st) && fchmod(directory, claim->mode) != 0)
        return error_set(error, 1, "%s %s: set mode %04o: %s", claim->what, claim->path,
                         claim->mode, strerror(errno));
    return has_owner(claim, &st) ? 0 : change_owner(directory, claim, error);
}
