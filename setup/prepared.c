#include "setup/prepared.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/access.h"
#include "common/ca_file.h"
#include "common/files.h"
#include "common/privileges.h"
#include "setup/export_names.h"
#include "setup/file_sum.h"
#include "setup/module.h"
#include "setup/progress.h"
#include "setup/sources.h"

/* A record holds for a day at most, and no longer than there is nothing to warn of. */
enum { DAY = 24 * 60 * 60, WARN_DAYS = 30, RECORD_MAX_BYTES = 1024 };

struct record {
    char inputs[FILE_SUM_SIZE];
    char outputs[FILE_SUM_SIZE];
    char ca_sha256[STATE_SHA256_SIZE];
    char ca_file_sha256[STATE_SHA256_SIZE];
    int64_t ca_expires;
    int64_t made, until; /* seconds since 1970, as ca_expires */
};

#define RECORD_PRINT                                                                               \
    "version=1\ninputs=%s\noutputs=%s\nca_sha256=%s\nca_file_sha256=%s\nca_expires=%" PRId64       \
    "\nmade=%" PRId64 "\nuntil=%" PRId64 "\n"
#define RECORD_SCAN                                                                                \
    "version=1\ninputs=%64[0-9a-f]\noutputs=%64[0-9a-f]\nca_sha256=%64[0-9a-f]\n"                  \
    "ca_file_sha256=%64[0-9a-f]\nca_expires=%" SCNd64 "\nmade=%" SCNd64 "\nuntil=%" SCNd64
enum { RECORD_FIELDS = 7 };

/* Our variables, in the order in which they stand. */
static void add_environment(struct file_sum *sum)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        if (strncmp(*entry, CONFIG_PREFIX, strlen(CONFIG_PREFIX)) == 0)
            file_sum_add_text(sum, *entry);
}

/* A key goes into the digest, and nowhere else. */
static void add_ca_dir(struct file_sum *sum, const char *ca_dir)
{
    static const char *const names[] = {SOURCE_CERTIFICATES, SOURCE_KEY, SOURCE_ROOT, CA_FILE};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%.4000s/%s", ca_dir, names[i]);
        file_sum_add_content(sum, path, CA_FILE_MAX_BYTES);
    }
}

/* This program, with the part that does the work. */
static void add_program(struct file_sum *sum)
{
    char path[MODULE_PATH_SIZE];
    file_sum_add_file(sum, "/proc/self/exe", 0);
    module_path(CA_MODULE, path);
    file_sum_add_file(sum, path, 0);
}

/* Tells whether a change of one of them from now on would show. */
static bool sum_inputs(const struct config *config, char inputs[static FILE_SUM_SIZE])
{
    struct file_sum sum;
    const uint32_t users[] = {geteuid(), config->user.uid, config->user.gid};
    file_sum_begin(&sum);
    add_program(&sum);
    add_environment(&sum);
    file_sum_add(&sum, users, sizeof(users));
    file_sum_add_text(&sum, config->confdir);
    if (config->ca_dir[0] != '\0')
        add_ca_dir(&sum, config->ca_dir);
    for (size_t i = 0; system_bundles[i] != NULL; i++)
        file_sum_add_file(&sum, system_bundles[i], 0);
    file_sum_add_directory(&sum, config->upstream_trust_dir, 0, true);
    file_sum_end(&sum, inputs);
    return file_sum_is_reliable(&sum);
}

/* What that user can run and read, and the content of the CA's file, are in order? */
static bool is_usable(const struct config *config, const char *ca_file_sha256)
{
    struct error ignored;
    struct ca_file file;
    size_t size;
    if (access_check(config, &ignored) != 0)
        return false;
    char *text = ca_file_read(config, &file, &size, &ignored);
    ca_file_release(text, text != NULL ? size : 0);
    return text != NULL && strcmp(file.sha256, ca_file_sha256) == 0;
}

/* What prepare leaves behind. False if it is not in order. Only the mitmproxy user may look into
 * the confdir. */
static bool sum_outputs(const struct config *config, const char *ca_file_sha256,
                        char outputs[static FILE_SUM_SIZE])
{
    struct file_sum sum;
    struct lent_privileges lent;
    char path[PATH_MAX];
    file_sum_begin(&sum);
    file_sum_add_directory(&sum, config->export_dir, AT_SYMLINK_NOFOLLOW, false);
    snprintf(path, sizeof(path), "%.4000s/" EXPORT_HASHED, config->export_dir);
    file_sum_add_directory(&sum, path, AT_SYMLINK_NOFOLLOW, false);
    if (privileges_lend(config->user.uid, config->user.gid, &lent) != 0)
        return false;
    bool usable = is_usable(config, ca_file_sha256);
    if (usable)
        file_sum_add_directory(&sum, config->confdir, AT_SYMLINK_NOFOLLOW, false);
    privileges_return(&lent);
    file_sum_end(&sum, outputs);
    return usable && !sum.unsure;
}

static void record_name(char name[static NAME_MAX])
{
    snprintf(name, NAME_MAX, ".%.200s.prepared", progress_place()->name);
}

/* Others can write to the directory, but only a file of the caller's or root's counts. */
static bool read_record(struct record *record)
{
    const struct file_limits limits = {.max_size = RECORD_MAX_BYTES, .owner = geteuid()};
    struct error ignored;
    char name[NAME_MAX];
    size_t size;
    record_name(name);
    char *text = file_read(progress_place()->directory, name, &limits, name, &size, &ignored);
    bool whole =
        text != NULL && sscanf(text, RECORD_SCAN, record->inputs, record->outputs,
                               record->ca_sha256, record->ca_file_sha256, &record->ca_expires,
                               &record->made, &record->until) == RECORD_FIELDS;
    free(text);
    return whole;
}

/* With a clock that was set back, too, it is not known what holds. */
static bool is_current(const struct record *record)
{
    time_t now = time(NULL);
    return now >= record->made && now < record->until;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool prepared_holds(const struct config *config, char inputs[static FILE_SUM_SIZE],
                    struct state *state)
{
    struct record record;
    char outputs[FILE_SUM_SIZE];
    sum_inputs(config, inputs);
    if (!read_record(&record) || !is_current(&record) || strcmp(record.inputs, inputs) != 0 ||
        !sum_outputs(config, record.ca_file_sha256, outputs) ||
        strcmp(record.outputs, outputs) != 0)
        return false;
    strlcpy(state->ca, "exported", sizeof(state->ca));
    strlcpy(state->ca_sha256, record.ca_sha256, sizeof(state->ca_sha256));
    strlcpy(state->ca_file_sha256, record.ca_file_sha256, sizeof(state->ca_file_sha256));
    state->ca_expires = record.ca_expires;
    return true;
}

void prepared_write(const struct config *config, const char *inputs, const struct state *state,
                    int64_t until)
{
    int64_t now_s = time(NULL);
    char now[FILE_SUM_SIZE], outputs[FILE_SUM_SIZE];
    char name[NAME_MAX], text[RECORD_MAX_BYTES];
    struct error ignored;
    if (!sum_inputs(config, now) || strcmp(now, inputs) != 0 ||
        !sum_outputs(config, state->ca_file_sha256, outputs))
        return;
    record_name(name);
    int size = snprintf(text, sizeof(text), RECORD_PRINT, inputs, outputs, state->ca_sha256,
                        state->ca_file_sha256, state->ca_expires, now_s,
                        least(least(now_s + DAY, until), state->ca_expires - WARN_DAYS * DAY));
    const struct file_content content = {name, text, (size_t)size, 0644, false};
    file_replace(progress_place()->directory, name, &content, &ignored);
}
