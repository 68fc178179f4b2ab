#include "setup/prepare/ca_program.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/mitmdump/access.h"
#include "common/process/privileges.h"
#include "setup/ca/messages.h"

/* Making a key takes milliseconds, but a slow disk takes its time. */
enum { CONFDIR_LIMIT_MS = 30 * 1000 };

/* Starts setup-ca with a command and descriptors, which this fills into start: there the name, the
 * arguments and the descriptors are still empty. */
static int start_command(char *command, const int *handed, struct program_start start,
                         struct program *program, struct error *error)
{
    char name[] = CA_PROGRAM, texts[HANDED_OVER_COUNT][48];
    char *arguments[HANDED_OVER_COUNT + 3] = {name, command};
    int descriptors[HANDED_OVER_COUNT];
    for (int i = 0; i < HANDED_OVER_COUNT; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%s=%d", handed_over_names[i], handed[i]);
        arguments[i + 2] = texts[i];
        if (handed[i] >= 0)
            descriptors[start.handed_over_count++] = handed[i];
    }
    start.name = name;
    start.arguments = arguments;
    start.handed_over = descriptors;
    return program_start(&start, program, error);
}

/* Becomes the mitmproxy user for good, and looks whether that user can run mitmdump. */
static int become_mitmproxy_user(const void *argument, struct error *error)
{
    const struct config *config = argument;
    if (privileges_drop(config->user.uid, config->user.gid, error) != 0)
        return -1;
    return access_check(config, error);
}

static int shed_capabilities(const void *argument, struct error *error)
{
    (void)argument;
    return capabilities_drop(error);
}

int ca_program_start_confdir(const struct config *config, const int *handed,
                             struct program *program, struct error *error)
{
    char command[] = CA_COMMAND_CONFDIR;
    const struct program_start start = {
        .what = "confdir: the process that prepares it",
        .deadline_ms = clock_ms() + CONFDIR_LIMIT_MS,
        .shed = become_mitmproxy_user,
        .argument = config,
    };
    return start_command(command, handed, start, program, error);
}

int ca_program_start_export(int directory, struct program *program, struct error *error)
{
    char command[] = CA_COMMAND_EXPORT;
    int handed[HANDED_OVER_COUNT];
    for (int i = 0; i < HANDED_OVER_COUNT; i++)
        handed[i] = i == EXPORT_DIRECTORY ? directory : -ENOENT;
    const struct program_start start = {
        .what = "export directory: the process that fills it",
        .deadline_ms = NO_DEADLINE,
        .shed = shed_capabilities,
    };
    return start_command(command, handed, start, program, error);
}

int ca_program_print_status(const char *sha256, struct error *error)
{
    char name[] = CA_PROGRAM, command[] = CA_COMMAND_STATUS;
    char expected[sizeof(CA_ARGUMENT_SHA256) + STATE_SHA256_SIZE];
    char *const arguments[] = {name, command, expected, NULL};
    const struct program_start start = {
        .name = CA_PROGRAM,
        .arguments = arguments,
        .shares_output = true,
        .what = "the process that looks at the export directory",
        .deadline_ms = NO_DEADLINE,
        .shed = shed_capabilities,
    };
    struct program program;
    snprintf(expected, sizeof(expected), CA_ARGUMENT_SHA256 "%s", sha256);
    fflush(stdout);
    if (program_start(&start, &program, error) != 0)
        return -1;
    int status = program_wait(&program);
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
        return WEXITSTATUS(status);
    return error_set(error, 1, "%s died", start.what);
}
