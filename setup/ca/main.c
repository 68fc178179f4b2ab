/* setup-ca: what setup does with keys and certificates. A program of its own, which setup executes,
 * so that no process ever has the CA's key together with CAP_NET_ADMIN or root's rights; and
 * because OpenSSL takes longer to load than the rest of setup takes to run. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/config/load.h"
#include "common/files/files.h"
#include "setup/ca/check.h"
#include "setup/ca/messages.h"
#include "setup/ca/source.h"
#include "setup/ca/status.h"
#include "setup/ca/store.h"
#include "setup/trust/bundle.h"
#include "setup/trust/export.h"
#include "setup/trust/export_names.h"
#include "setup/x509/ca.h"
#include "setup/x509/key_memory.h"

static int usage_error(void)
{
    fputs("setup-ca: executed by setup, and of no use by itself\n", stderr);
    return EX_USAGE;
}

/* One write is enough, because setup reads until it has the whole answer. */
static bool answer(const void *data, size_t size)
{
    return write(STDOUT_FILENO, data, size) == (ssize_t)size;
}

/* Parses NAME=DESCRIPTOR arguments, and makes the descriptors close-on-exec again. */
static bool take_over(int count, char **arguments, int handed[static HANDED_OVER_COUNT])
{
    for (int i = 0; i < HANDED_OVER_COUNT; i++)
        handed[i] = -ENOENT;
    for (int i = 0; i < count; i++) {
        const char *reason = NULL;
        char *number = strrchr(arguments[i], '=');
        int name = 0;
        if (number == NULL)
            return false;
        *number++ = '\0';
        while (name < HANDED_OVER_COUNT && strcmp(arguments[i], handed_over_names[name]) != 0)
            name++;
        if (name == HANDED_OVER_COUNT)
            return false;
        handed[name] = (int)strtonum(number, -4096, 1 << 20, &reason);
        if (reason != NULL || (handed[name] >= 0 && fcntl(handed[name], F_SETFD, FD_CLOEXEC) != 0))
            return false;
    }
    return true;
}

/* A file of root's in the confdir is handed over to the mitmproxy user only if it is a good CA:
 * that user could have moved another of root's files there to get it. */
static int check_confdir_ca(const struct config *config, int fd, struct error *error)
{
    char path[PATH_MAX];
    struct ca ca = {0};
    size_t size = 0;
    ca_file_path(config, path);
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

/* Checks the files that were handed over. Fills source, and sets *given if there is one. */
static int judge(const struct config *config, const int *handed, struct ca *source, bool *given,
                 struct ca_judgement *judgement)
{
    int found = ca_source_read(config, handed, source, &judgement->error);
    *given = found > 0;
    if (found < 0)
        return -1;
    if (handed[CONFDIR_CA] < 0)
        return 0;
    judgement->confdir_ca_is_usable =
        check_confdir_ca(config, handed[CONFDIR_CA], &judgement->error) == 0;
    /* A bad one is no error if a CA in CA_DIR replaces it: it would only have signed that one. */
    if (!judgement->confdir_ca_is_usable && !*given)
        return -1;
    judgement->error.status = 0;
    return 0;
}

/* Looks at what was exported before. The caller frees known, which is NULL when memory is out. The
 * export itself will warn of damaged certificates. */
static struct exported look_at_export(const struct config *config, const int *handed)
{
    struct exported exported = {.config = config, .known = bundle_new()};
    struct statvfs volume;
    struct error ignored;
    size_t size = 0;
    if (handed[EXPORT_DIRECTORY] >= 0)
        exported.read_only =
            fstatvfs(handed[EXPORT_DIRECTORY], &volume) == 0 && (volume.f_flag & ST_RDONLY) != 0;
    if (handed[EXPORTED_ROOTS] < 0 || exported.known == NULL)
        return exported;
    char *pem = file_read_open(handed[EXPORTED_ROOTS], ROOTS_MAX_BYTES, "", &size, &ignored);
    if (pem != NULL)
        bundle_add_pem(exported.known, pem, size, NULL);
    free(pem);
    return exported;
}

/* Waits until setup has made the directories ready and lets it go on. */
static bool may_go_on(void)
{
    char byte;
    ssize_t got;
    do
        got = read(STDIN_FILENO, &byte, 1);
    while (got < 0 && errno == EINTR);
    return got == 1;
}

/* Runs as the mitmproxy user, so that whoever tampers with the confdir gains nothing new. */
static int work_in_confdir(const struct config *config, const int *handed)
{
    struct ca_judgement judgement = {0};
    struct ca_prepared prepared = {0};
    struct ca source = {0};
    size_t size = 0;
    bool given = false;
    int judged = judge(config, handed, &source, &given, &judgement);
    if (!answer(&judgement, sizeof(judgement)) || judged != 0 || !may_go_on()) {
        ca_free(&source);
        return 1;
    }
    const struct exported exported = look_at_export(config, handed);
    char *pem = NULL;
    if (exported.known == NULL)
        error_set(&prepared.error, 1, "confdir: out of memory");
    else
        pem = ca_store_prepare(&exported, given ? &source : NULL, &size, &prepared.error);
    /* Clears the key before setup gets the answer. */
    ca_free(&source);
    bundle_free(exported.known);
    if (pem != NULL && ca_record_make(config, pem, size, &prepared.record, &prepared.error) == 0)
        prepared.error.status = 0;
    bool sent = answer(&prepared, sizeof(prepared)) && (pem == NULL || answer(pem, size));
    free(pem);
    return sent && prepared.error.status == 0 ? 0 : 1;
}

static int export_all(const struct config *config, const int *handed)
{
    struct ca_exported exported = {0};
    if (export_roots(config, handed[EXPORT_DIRECTORY], STDIN_FILENO, exported.sha256,
                     &exported.error) == 0)
        exported.error.status = 0;
    return answer(&exported, sizeof(exported)) && exported.error.status == 0 ? 0 : 1;
}

static int run(int argc, char **argv)
{
    static struct config config;
    int handed[HANDED_OVER_COUNT];
    if (argc < 2)
        return usage_error();
    config_load(&config, "setup", CONFIG_IS_CHECKED);
    const char *sha256 = argc == 3 ? argv[2] : "";
    if (strcmp(argv[1], CA_COMMAND_STATUS) == 0 &&
        strncmp(sha256, CA_ARGUMENT_SHA256, strlen(CA_ARGUMENT_SHA256)) == 0)
        return ca_status_print(&config, sha256 + strlen(CA_ARGUMENT_SHA256)) > 0;
    if (!take_over(argc - 2, argv + 2, handed))
        return usage_error();
    if (strcmp(argv[1], CA_COMMAND_CONFDIR) == 0)
        return work_in_confdir(&config, handed);
    if (strcmp(argv[1], CA_COMMAND_EXPORT) == 0 && handed[EXPORT_DIRECTORY] >= 0)
        return export_all(&config, handed);
    return usage_error();
}

int main(int argc, char **argv)
{
    const struct rlimit none = {0, 0};
    /* The CA's key will be in this process's memory. */
    setrlimit(RLIMIT_CORE, &none);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 1;
    prctl(PR_SET_NAME, "setup-ca"); /* it is executed by descriptor: its name would be a number */
    key_memory_clear_on_free();
    int status = run(argc, argv);
    fflush(stdout);
    /* At exit(3) a sanitizer would look for leaks, and would have to trace this process for
     * that. */
    _exit(status);
}
