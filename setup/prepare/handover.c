#include "setup/prepare/handover.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files/files.h"
#include "common/mitmdump/ca_file.h"
#include "setup/record/directory.h"

static bool is_confdir_file(const struct claim *claim, const char *name)
{
    (void)claim;
    static const char *const names[] = {"config.yaml", "config.yml", "keys.yaml", "keys.yml"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "mitmproxy-", 10) == 0 || strncmp(name, ".mitmproxy-", 11) == 0;
}

static struct claim claim_of(const struct config *config)
{
    return (struct claim){
        .what = "confdir",
        .variable = "MITMPROXY_CONFDIR",
        .path = config->confdir,
        .uid = config->user.uid,
        .gid = config->user.gid,
        .mode = 0700,
        .is_ours = is_confdir_file,
    };
}

/* Opens the CA's file if root owns it, else returns -1. Sets *failed, with error, if the file
 * cannot be a CA. */
static int open_ca(int directory, const struct config *config, bool *failed, struct error *error)
{
    const struct file_limits limits = {.max_size = CA_FILE_MAX_BYTES, .owner = config->user.uid};
    char path[PATH_MAX];
    struct stat st;
    ca_file_path(config, path);
    int fd = file_open(directory, CA_FILE, &limits, path, error);
    /* A file that root cannot open is the mitmproxy user's already. */
    *failed = fd < 0 && errno != ENOENT && errno != EACCES && errno != EBADF;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && st.st_uid != config->user.uid)
        return fd;
    close(fd);
    return -1;
}

int handover_look(struct handover *handover, const struct config *config, struct error *error)
{
    const struct claim claim = claim_of(config);
    struct error ignored;
    bool failed = false;
    *handover = (struct handover){.directory = directory_open(config->confdir, &ignored), .ca = -1};
    if (handover->directory < 0)
        return 0;
    if (claim_check(handover->directory, &claim, error) != 0)
        return -1;
    handover->ca = open_ca(handover->directory, config, &failed, error);
    return failed ? -1 : 0;
}

static int hand_over_ca(int fd, const struct config *config, struct error *error)
{
    const struct user *user = &config->user;
    char path[PATH_MAX];
    if (fchmod(fd, 0600) == 0 && fchown(fd, user->uid, user->gid) == 0)
        return 0;
    int reason = errno;
    ca_file_path(config, path);
    return error_set(error, reason == EPERM ? EX_NOPERM : 1, "%s: chown to %u:%u: %s%s", path,
                     user->uid, user->gid, strerror(reason),
                     reason == EPERM ? " (needs CAP_CHOWN)" : "");
}

int confdir_hand_over(struct handover *handover, const struct config *config, bool with_ca,
                      struct error *error)
{
    const struct claim claim = claim_of(config);
    if (handover->directory < 0)
        handover->directory = directory_make(config->confdir, 0700, error);
    /* Root without CAP_DAC_OVERRIDE may not enter the user's home. setup-ca, as that user, may. */
    if (handover->directory < 0 && error->status == EX_NOPERM)
        return 0;
    if (handover->directory < 0)
        return error_prefix(error, "confdir");
    if (with_ca && hand_over_ca(handover->ca, config, error) != 0)
        return -1;
    return claim_directory(handover->directory, &claim, error);
}

void handover_close(struct handover *handover)
{
    if (handover->ca >= 0)
        close(handover->ca);
    if (handover->directory >= 0)
        close(handover->directory);
}
