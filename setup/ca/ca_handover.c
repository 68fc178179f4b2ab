#include "setup/ca/ca_handover.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "setup/ca/ca.h"
#include "setup/ca/ca_check.h"
#include "setup/ca/ca_store.h"
#include "setup/claim.h"

static bool is_confdir_file(const char *name)
{
    static const char *const names[] = {"config.yaml", "config.yml", "keys.yaml", "keys.yml"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "mitmproxy-", 10) == 0 || strncmp(name, ".mitmproxy-", 11) == 0;
}

/* It must really be a CA, and a good one: nobody gets another of root's files by moving it there.
 */
static int check_ca(int fd, const char *path, struct error *error)
{
    struct ca ca = {0};
    size_t size = 0;
    char *pem = file_read_open(fd, CA_FILE_MAX_BYTES, path, &size, error);
    if (pem == NULL)
        return -1;
    int result = ca_parse(pem, size, &ca, error);
    if (result == 0)
        result = ca_check(&ca, path, error);
    ca_file_release(pem, size);
    ca_free(&ca);
    return result == 0 ? 0 : error_prefix(error, "%s", path);
}

/* Opens a CA that the administrator has put into the confdir as root, and which goes to the
 * mitmproxy user as it is. -1 if there is none such; -2 with error if it is not fit for use. */
static int open_ca(int directory, const struct config *config, const char *path,
                   struct error *error)
{
    const struct file_limits limits = {.max_size = CA_FILE_MAX_BYTES, .owner = config->user.uid};
    struct stat st;
    int fd = file_open(directory, CA_FILE, &limits, path, error);
    /* What root cannot get at is the mitmproxy user's already. */
    if (fd < 0)
        return errno == ENOENT || errno == EACCES || errno == EBADF ? -1 : -2;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || st.st_uid == config->user.uid) {
        close(fd);
        return -1;
    }
    if (check_ca(fd, path, error) == 0)
        return fd;
    close(fd);
    /* A CA in CA_DIR replaces this one, which would only have signed it. */
    return config->ca_dir[0] != '\0' ? -1 : -2;
}

static int hand_over_ca(int fd, const char *path, const struct user *user, struct error *error)
{
    if (fchmod(fd, 0600) == 0 && fchown(fd, user->uid, user->gid) == 0)
        return 0;
    return error_set(error, errno == EPERM ? EX_NOPERM : 1, "%s: chown to %u:%u: %s%s", path,
                     user->uid, user->gid, strerror(errno),
                     errno == EPERM ? " (needs CAP_CHOWN)" : "");
}

/* Everything is checked before anything is handed over. */
static int hand_over(int directory, const struct claim *claim, const struct config *config,
                     struct error *error)
{
    char path[PATH_MAX];
    ca_file_path(config, path);
    if (claim_check(directory, claim, error) != 0)
        return -1;
    int ca = open_ca(directory, config, path, error);
    if (ca == -2)
        return -1;
    int result = ca >= 0 ? hand_over_ca(ca, path, &config->user, error) : 0;
    if (ca >= 0)
        close(ca);
    return result == 0 ? claim_directory(directory, claim, error) : -1;
}

int confdir_hand_over(const struct config *config, struct error *error)
{
    const struct claim claim = {
        .what = "confdir",
        .variable = "MITMPROXY_CONFDIR",
        .path = config->confdir,
        .uid = config->user.uid,
        .gid = config->user.gid,
        .mode = 0700,
        .is_ours = is_confdir_file,
    };
    int directory = directory_make(config->confdir, 0700, error);
    /* Root without CAP_DAC_OVERRIDE may not enter the user's home. The user may. */
    if (directory < 0 && error->status == EX_NOPERM)
        return 0;
    if (directory < 0)
        return error_prefix(error, "confdir");
    int result = hand_over(directory, &claim, config, error);
    close(directory);
    return result;
}
