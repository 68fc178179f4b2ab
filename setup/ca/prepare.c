#include "setup/ca/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/access.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/privileges.h"
#include "setup/ca/ca.h"
#include "setup/ca/ca_handover.h"
#include "setup/ca/ca_record.h"
#include "setup/ca/ca_source.h"
#include "setup/ca/ca_store.h"
#include "setup/ca/export.h"

/* A key is made in milliseconds; a slow disk takes its time. */
enum { WORK_LIMIT_MS = 30 * 1000 };

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
    struct ca_record record;
};

/* The child: becomes the mitmproxy user and does the work in the confdir, so that whoever owns the
 * place gains nothing that he does not have. */
static int work_as_user(const struct exports *exports, struct ca *source, int out)
{
    const struct config *config = exports->config;
    struct verdict verdict = {0};
    size_t size = 0;
    char *pem = NULL;
    if (privileges_drop(config->user.uid, config->user.gid, &verdict.error) == 0 &&
        access_check(config, &verdict.error) == 0)
        pem = ca_store_prepare(exports, source, &size, &verdict.error);
    /* No key is left in here when the parent hears of it. The parent's copy is another. */
    if (source != NULL)
        ca_free(source);
    verdict.failed =
        pem == NULL || ca_record_make(config, pem, size, &verdict.record, &verdict.error) != 0;
    bool sent = write(out, &verdict, sizeof(verdict)) == (ssize_t)sizeof(verdict) &&
                (pem == NULL || write(out, pem, size) == (ssize_t)size);
    free(pem);
    return sent ? 0 : 1;
}

/* Waits until there is something to read, or the other end is closed. */
static int wait_readable(int in, int64_t deadline_ms, struct error *error)
{
    struct pollfd readable = {.fd = in, .events = POLLIN};
    for (;;) {
        int64_t left_ms = deadline_ms - clock_ms();
        int found = left_ms > 0 ? poll(&readable, 1, (int)left_ms) : 0;
        if (found > 0)
            return 0;
        if (found == 0)
            return error_set(error, 1,
                             "confdir: the process that prepares it was stopped, or hangs");
        if (errno != EINTR)
            return error_set(error, 1, "confdir: poll: %s", strerror(errno));
    }
}

/* Reads what the child sends until it has ended, which is what closes its end of the pipe. The user
 * that it has become can stop it at any moment, within its answer and behind it, too: one deadline
 * is for all of that. Returns the size, or -1 with error. */
static ssize_t read_answer(int in, char *answer, size_t max, struct error *error)
{
    int64_t deadline_ms = clock_ms() + WORK_LIMIT_MS;
    size_t used = 0;
    while (wait_readable(in, deadline_ms, error) == 0) {
        ssize_t got = read(in, answer + used, max - used);
        if (got == 0)
            return (ssize_t)used;
        if (got < 0 && errno != EINTR)
            return error_set(error, 1, "confdir: read: %s", strerror(errno));
        used += got > 0 ? (size_t)got : 0;
        if (used == max)
            return error_set(error, 1, "confdir: the process that prepares it says too much");
    }
    return -1;
}

/* Reads the child's verdict and the certificate behind it, which the caller frees. */
static char *read_verdict(int in, size_t *size, struct verdict *verdict, struct error *error)
{
    const size_t max = sizeof(*verdict) + CA_FILE_MAX_BYTES + 1;
    char *answer = malloc(max);
    ssize_t got = answer != NULL ? read_answer(in, answer, max, error)
                                 : error_set(error, 1, "confdir: %s", strerror(errno));
    if (got >= 0 && (size_t)got < sizeof(*verdict))
        got = error_set(error, 1, "confdir: the process that prepares it died");
    if (got >= 0) {
        memcpy(verdict, answer, sizeof(*verdict));
        *size = (size_t)got - sizeof(*verdict);
        memmove(answer, answer + sizeof(*verdict), *size);
        answer[*size] = '\0';
    }
    if (got >= 0 && !verdict->failed)
        return answer;
    if (got >= 0)
        *error = verdict->error;
    free(answer);
    return NULL;
}

/* Returns the CA's root as PEM, which the caller frees. */
static char *prepare_as_user(const struct exports *exports, struct ca *source, size_t *size,
                             struct verdict *verdict, struct error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set(error, 1, "pipe: %s", strerror(errno));
        return NULL;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(work_as_user(exports, source, ends[1]));
    }
    close(ends[1]);
    char *pem = NULL;
    if (child < 0)
        error_set(error, 1, "fork: %s", strerror(errno));
    else
        pem = read_verdict(ends[0], size, verdict, error);
    close(ends[0]);
    if (child > 0) {
        /* Whatever it has answered, it is not waited for any more. */
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return pem;
}

/* Confdir, then export, which has been opened: what a read-only volume does not take is not put in
 * place. source (NULL for none) is freed where it has been used. */
static int prepare_both(struct exports *exports, struct ca *source, struct state *state,
                        struct verdict *verdict, struct error *error)
{
    size_t size = 0;
    char *root = prepare_as_user(exports, source, &size, verdict, error);
    if (source != NULL)
        ca_free(source);
    int result = root != NULL ? export_roots(exports, root, size, state->ca_sha256, error) : -1;
    if (root != NULL && result != 0)
        state->ca[0] = '\0';
    free(root);
    return result;
}

int ca_prepare(const struct config *config, struct state *state, struct error *error)
{
    struct ca source;
    struct exports exports;
    struct verdict verdict = {0};
    int result = -1;
    /* What is wrong with the source is known before anything is touched. */
    int given = ca_source_read(config, &source, error);
    if (given < 0)
        return -1;
    if (check_capabilities(config, error) == 0 && confdir_hand_over(config, error) == 0 &&
        export_open(&exports, config, source.other_roots, error) == 0) {
        result = prepare_both(&exports, given == 1 ? &source : NULL, state, &verdict, error);
        export_close(&exports);
    }
    ca_free(&source);
    if (result != 0)
        return -1;
    strlcpy(state->ca_file_sha256, verdict.record.file_sha256, sizeof(state->ca_file_sha256));
    state->ca_expires = verdict.record.expires;
    strlcpy(state->ca, "exported", sizeof(state->ca));
    return 0;
}
