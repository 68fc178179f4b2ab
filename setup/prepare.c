#include "setup/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/access.h"
#include "common/files.h"
#include "common/log.h"
#include "common/privileges.h"
#include "setup/ca.h"
#include "setup/ca_source.h"
#include "setup/ca_store.h"
#include "setup/claim.h"
#include "setup/export.h"

static bool is_confdir_file(const char *name)
{
    static const char *const names[] = {"config.yaml", "config.yml", "keys.yaml", "keys.yml"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "mitmproxy-", 10) == 0 || strncmp(name, ".mitmproxy-", 11) == 0;
}

/* A CA that the administrator has put into the confdir as root goes to the mitmproxy user, as it
 * is. It must really be a CA: nobody gets another of root's files by moving it there. */
static int adopt_ca(int directory, const struct config *config, struct error *error)
{
    const struct file_limits limits = {.max_size = CA_FILE_MAX_BYTES, .owner = config->user.uid};
    struct ca ca = {0};
    struct stat st;
    char path[PATH_MAX];
    size_t size = 0;
    char *pem = NULL;
    int result = -1;

    snprintf(path, sizeof(path), "%.4000s/" CA_FILE, config->confdir);
    int fd = file_open(directory, CA_FILE, &limits, path, error);
    if (fd < 0)
        return errno == ENOENT || errno == EACCES || errno == EBADF ? 0 : -1;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || st.st_uid == config->user.uid) {
        close(fd);
        return 0;
    }
    pem = file_read_open(fd, CA_FILE_MAX_BYTES, path, &size, error);
    if (pem == NULL)
        goto out;
    if (ca_parse(pem, size, &ca, error) != 0) {
        error_prefix(error, "%s", path);
        goto out;
    }
    if (fchmod(fd, 0600) != 0 || fchown(fd, config->user.uid, config->user.gid) != 0) {
        error_set(error, errno == EPERM ? EX_NOPERM : 1, "%s: chown to %u:%u: %s%s", path,
                  config->user.uid, config->user.gid, strerror(errno),
                  errno == EPERM ? " (needs CAP_CHOWN)" : "");
        goto out;
    }
    result = 0;
out:
    if (pem != NULL)
        explicit_bzero(pem, size);
    free(pem);
    ca_free(&ca);
    close(fd);
    return result;
}

/* Makes the confdir and gives it away: from then on root has no business in it. */
static int give_confdir(const struct config *config, struct error *error)
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
    if (directory < 0)
        return error_prefix(error, "confdir");
    int result = adopt_ca(directory, config, error);
    if (result == 0)
        result = claim_directory(directory, &claim, error);
    close(directory);
    return result;
}

static int check_capabilities(const struct config *config, struct error *error)
{
    if (geteuid() == config->user.uid)
        return 0;
    bool setuid_held = capability_held(CAP_SETUID);
    bool setgid_held = capability_held(CAP_SETGID);
    if (setuid_held && setgid_held)
        return 0;
    return error_set(error, EX_NOPERM, "setup prepare needs %s%s%s to become user %s",
                     setuid_held ? "" : "CAP_SETUID", setuid_held || setgid_held ? "" : " and ",
                     setgid_held ? "" : "CAP_SETGID", config->user.name);
}

/* What the child sends: its verdict, then as many bytes of certificate. */
struct verdict {
    int failed;
    struct error error;
};

/* The child: becomes the mitmproxy user and does the work in the confdir, so that whoever owns the
 * place gains nothing that he does not have. */
static int work_as_user(const struct config *config, struct ca *source, int out)
{
    struct verdict verdict = {0};
    size_t size = 0;
    char *pem = NULL;
    if (privileges_drop(config->user.uid, config->user.gid, &verdict.error) == 0 &&
        access_check(config, &verdict.error) == 0)
        pem = ca_store_prepare(config, source, &size, &verdict.error);
    verdict.failed = pem == NULL;
    bool sent = write(out, &verdict, sizeof(verdict)) == (ssize_t)sizeof(verdict) &&
                (pem == NULL || write(out, pem, size) == (ssize_t)size);
    free(pem);
    return sent ? 0 : 1;
}

/* Reads the child's verdict and certificate; the certificate is bounded by a pipe's size. */
static char *read_verdict(int in, size_t *size, struct error *error)
{
    struct verdict verdict;
    if (read(in, &verdict, sizeof(verdict)) != (ssize_t)sizeof(verdict)) {
        error_set(error, 1, "confdir: the process that prepares it died");
        return NULL;
    }
    if (verdict.failed) {
        *error = verdict.error;
        return NULL;
    }
    return file_read_open(in, CA_FILE_MAX_BYTES, "certificate", size, error);
}

/* Returns the CA's roots as PEM, which the caller frees. */
static char *prepare_as_user(const struct config *config, struct ca *source, size_t *size,
                             struct error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set(error, 1, "pipe: %s", strerror(errno));
        return NULL;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(work_as_user(config, source, ends[1]));
    }
    close(ends[1]);
    char *pem = NULL;
    if (child < 0)
        error_set(error, 1, "fork: %s", strerror(errno));
    else
        pem = read_verdict(ends[0], size, error);
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    return pem;
}

int prepare(const struct config *config, struct state *state, struct error *error)
{
    struct ca source;
    size_t size = 0;
    char *roots = NULL;
    /* What is wrong with the source is known before anything is touched. */
    int given = ca_source_read(config, &source, error);
    if (given < 0)
        return -1;
    if (check_capabilities(config, error) == 0 && give_confdir(config, error) == 0)
        roots = prepare_as_user(config, given == 1 ? &source : NULL, &size, error);
    ca_free(&source);
    if (roots == NULL)
        return -1;
    int result = export_roots(config, roots, size, state->ca_sha256, error);
    free(roots);
    strlcpy(state->ca, result == 0 ? "exported" : "", sizeof(state->ca));
    return result;
}
