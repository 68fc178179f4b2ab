#include "setup/prepare/export_directory.h"

#include <string.h>
#include <unistd.h>

#include "common/files/files.h"
#include "setup/ca/messages.h"
#include "setup/record/directory.h"
#include "setup/trust/export_names.h"

/* Is it one of our files, or a temporary one? mitmscripts is where the image has its addons, in the
 * default export directory. */
static bool is_exported_file(const struct claim *claim, const char *name)
{
    (void)claim;
    static const char *const names[] = {EXPORT_CERTIFICATE, EXPORT_ROOTS, EXPORT_OTHERS,
                                        "mitmscripts"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0 ||
            (name[0] == '.' && strncmp(name + 1, names[i], strlen(names[i])) == 0))
            return true;
    return false;
}

void export_directory_look(struct export_directory *directory, const struct config *config)
{
    const struct file_limits limits = {.max_size = ROOTS_MAX_BYTES, .owner = geteuid()};
    struct error ignored;
    *directory = (struct export_directory){
        .directory = directory_open(config->export_dir, &ignored),
        .roots = -1,
    };
    if (directory->directory >= 0)
        directory->roots =
            file_open(directory->directory, EXPORT_ROOTS, &limits, EXPORT_ROOTS, &ignored);
}

int export_directory_claim(struct export_directory *directory, const struct config *config,
                           struct error *error)
{
    const struct claim claim = {
        .what = "export directory",
        .variable = "EXPORT_DIR",
        .path = config->export_dir,
        .uid = (uid_t)-1,
        .gid = (gid_t)-1,
        .mode = 0755,
        .is_ours = is_exported_file,
    };
    if (directory->directory < 0)
        directory->directory = directory_make(config->export_dir, 0755, error);
    if (directory->directory < 0)
        return error_prefix(error, "export directory");
    if (claim_directory(directory->directory, &claim, error) != 0)
        return -1;
    directory_clean(directory->directory);
    return 0;
}

void export_directory_close(struct export_directory *directory)
{
    if (directory->roots >= 0)
        close(directory->roots);
    if (directory->directory >= 0)
        close(directory->directory);
}
