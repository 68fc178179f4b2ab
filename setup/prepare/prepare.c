#include "setup/prepare/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/process/privileges.h"
#include "setup/ca/messages.h"
#include "setup/prepare/ca_program.h"
#include "setup/prepare/export_directory.h"
#include "setup/prepare/handover.h"
#include "setup/trust/export_names.h"

/* What is open during the preparation. */
struct preparation {
    const struct config *config;
    int handed[HANDED_OVER_COUNT];
    struct handover handover;
    struct export_directory export;
    struct program confdir_work; /* has the key, as the mitmproxy user */
    struct program export_work;  /* writes as root, without capabilities */
};

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

/* Opens the files of MITMPROXY_CA_DIR, which only root may be able to open, without reading them:
 * setup never has a key. Sets handed[SOURCE_CERTIFICATES] to handed[SOURCE_ROOT] to a descriptor or
 * -ERRNO each. 0, or -1 with error if there is no such directory. In both cases the caller closes
 * them.
 *
 * The directory is the administrator's and read-only. Its links are followed: kubelet makes each
 * file a link through "..data". */
static int source_files_open(const struct config *config, int *handed, struct error *error)
{
    for (int i = SOURCE_CERTIFICATES; i <= SOURCE_ROOT; i++)
        handed[i] = -ENOENT;
    if (config->ca_dir[0] == '\0')
        return 0;
    int directory = open(config->ca_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Otherwise each file in it would be missing, which says less. */
    if (directory < 0)
        return error_set(error, EX_CONFIG, CONFIG_PREFIX "MITMPROXY_CA_DIR=\"%s\": %s",
                         config->ca_dir, strerror(errno));
    for (int i = SOURCE_CERTIFICATES; i <= SOURCE_ROOT; i++) {
        handed[i] =
            openat(directory, handed_over_names[i], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (handed[i] < 0)
            handed[i] = -errno;
    }
    close(directory);
    return 0;
}

static void source_files_close(const int *handed)
{
    for (int i = SOURCE_CERTIFICATES; i <= SOURCE_ROOT; i++)
        if (handed[i] >= 0)
            close(handed[i]);
}

/* Opens what setup-ca needs and only root may be able to open. Changes nothing. */
static int open_all(struct preparation *all, struct error *error)
{
    if (source_files_open(all->config, all->handed, error) != 0 ||
        check_capabilities(all->config, error) != 0 ||
        handover_look(&all->handover, all->config, error) != 0)
        return -1;
    export_directory_look(&all->export, all->config);
    all->handed[CONFDIR_CA] = all->handover.ca >= 0 ? all->handover.ca : -ENOENT;
    all->handed[EXPORTED_ROOTS] = all->export.roots >= 0 ? all->export.roots : -ENOENT;
    all->handed[EXPORT_DIRECTORY] = all->export.directory >= 0 ? all->export.directory : -ENOENT;
    return 0;
}

/* A bad CA is reported before anything is changed, and a bad export directory before a new CA is
 * put in place. */
static int make_directories(struct preparation *all, struct error *error)
{
    struct ca_judgement judgement;
    if (program_read(&all->confdir_work, &judgement, sizeof(judgement), error) != 0)
        return -1;
    if (judgement.error.status != 0) {
        *error = judgement.error;
        return -1;
    }
    if (confdir_hand_over(&all->handover, all->config, judgement.confdir_ca_is_usable, error) != 0)
        return -1;
    return export_directory_claim(&all->export, all->config, error);
}

/* Lets the work in the confdir go on. Returns the roots that clients have to trust as PEM, which
 * the caller frees, or NULL with error. */
static char *prepare_confdir(struct preparation *all, struct ca_prepared *prepared, size_t *size,
                             struct error *error)
{
    program_write(&all->confdir_work, "\n", 1);
    if (program_read(&all->confdir_work, prepared, sizeof(*prepared), error) != 0)
        return NULL;
    char *roots = program_read_rest(&all->confdir_work, ROOTS_MAX_BYTES, size, error);
    if (roots == NULL || prepared->error.status == 0)
        return roots;
    *error = prepared->error;
    free(roots);
    return NULL;
}

static int export_roots(struct preparation *all, const char *roots, size_t size,
                        struct ca_exported *exported, struct error *error)
{
    program_write(&all->export_work, roots, size);
    program_close_input(&all->export_work);
    if (program_read(&all->export_work, exported, sizeof(*exported), error) != 0)
        return -1;
    if (exported->error.status == 0)
        return 0;
    *error = exported->error;
    return -1;
}

/* The export reads the system's roots while the work in the confdir goes on. */
static int work(struct preparation *all, struct state *state, struct error *error)
{
    struct ca_prepared prepared;
    struct ca_exported exported;
    size_t size = 0;
    if (ca_program_start_confdir(all->config, all->handed, &all->confdir_work, error) != 0 ||
        make_directories(all, error) != 0 ||
        ca_program_start_export(all->export.directory, &all->export_work, error) != 0)
        return -1;
    char *roots = prepare_confdir(all, &prepared, &size, error);
    program_end(&all->confdir_work);
    if (roots == NULL)
        return -1;
    int result = export_roots(all, roots, size, &exported, error);
    free(roots);
    if (result != 0) {
        state->ca[0] = '\0';
        return -1;
    }
    strlcpy(state->ca_sha256, exported.sha256, sizeof(state->ca_sha256));
    strlcpy(state->ca_file_sha256, prepared.record.file_sha256, sizeof(state->ca_file_sha256));
    state->ca_expires = prepared.record.expires;
    strlcpy(state->ca, "exported", sizeof(state->ca));
    return 0;
}

int prepare(const struct config *config, struct state *state, struct error *error)
{
    struct preparation all = {
        .config = config,
        .handover = {-1, -1},
        .export = {-1, -1},
    };
    int result = open_all(&all, error) == 0 ? work(&all, state, error) : -1;
    program_end(&all.confdir_work);
    program_end(&all.export_work);
    source_files_close(all.handed);
    handover_close(&all.handover);
    export_directory_close(&all.export);
    return result;
}
