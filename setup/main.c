#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "common/error.h"
#include "common/log.h"
#include "common/state.h"
#include "setup/prepare.h"
#include "setup/progress.h"
#include "setup/redirect.h"
#include "setup/status.h"

enum command { COMMAND_ALL, COMMAND_PREPARE, COMMAND_REDIRECT, COMMAND_CLEAR, COMMAND_STATUS };

enum { WAIT_SECONDS = 60, WAIT_SECONDS_MAX = 3600 };

struct arguments {
    enum command command;
    unsigned int wait_seconds; /* 0: do not wait */
    bool dry_run;
};

static void print_help(FILE *out)
{
    fprintf(out,
            "usage: setup [prepare | redirect [--wait[=SECONDS]] [--dry-run] | clear | status]\n"
            "\n"
            "  (no command)  prepare, then redirect: the init container\n"
            "  prepare       confdir, CA and export\n"
            "  redirect      redirect rules; with --wait once mitmdump listens (default 60 s)\n"
            "  clear         remove exactly our rules\n"
            "  status        show what is and what should be; exit 0 only if they agree\n"
            "  --help, --version\n"
            "\n"
            "exit status: 0; 64 usage; 69 kernel or listener unavailable; 77 missing\n"
            "privilege; 78 configuration; 1 anything else\n"
            "\n"
            "environment, each with the prefix " CONFIG_PREFIX ":\n");
    config_print_help(out);
}

static void usage_error(const char *argument)
{
    fprintf(stderr, "setup: unexpected argument \"%s\"; see setup --help\n", argument);
    exit(EX_USAGE);
}

static void parse_option(const char *option, struct arguments *arguments)
{
    const char *reason = NULL;
    if (arguments->command == COMMAND_REDIRECT && strcmp(option, "--dry-run") == 0) {
        arguments->dry_run = true;
        return;
    }
    if (arguments->command != COMMAND_REDIRECT || strncmp(option, "--wait", 6) != 0)
        usage_error(option);
    if (option[6] == '\0') {
        arguments->wait_seconds = WAIT_SECONDS;
        return;
    }
    if (option[6] != '=')
        usage_error(option);
    arguments->wait_seconds = (unsigned int)strtonum(option + 7, 1, WAIT_SECONDS_MAX, &reason);
    if (reason != NULL) {
        fprintf(stderr, "setup: --wait=\"%s\" is %s; accepted: 1 to %d seconds\n", option + 7,
                reason, WAIT_SECONDS_MAX);
        exit(EX_USAGE);
    }
}

static struct arguments parse_arguments(int argc, char **argv)
{
    static const char *const names[] = {"prepare", "redirect", "clear", "status"};
    struct arguments arguments = {.command = COMMAND_ALL};
    if (argc < 2)
        return arguments;
    if (strcmp(argv[1], "--help") == 0) {
        print_help(stdout);
        exit(0);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("setup " VERSION);
        exit(0);
    }
    for (int i = 0; i < 4; i++)
        if (strcmp(argv[1], names[i]) == 0)
            arguments.command = (enum command)(COMMAND_PREPARE + i);
    if (arguments.command == COMMAND_ALL)
        usage_error(argv[1]);
    for (int i = 2; i < argc; i++)
        parse_option(argv[i], &arguments);
    return arguments;
}

/* Transparent mode is off: nothing may be left of it. Without the privilege to look, or in a kernel
 * without the tables, there is nothing to be done about it. */
static int disable(const struct config *config, struct error *error)
{
    struct state state = {0};
    if (progress_begin(config, &state, error) != 0)
        return -1;
    if (redirect_clear(&state, error) != 0) {
        log_warn("transparent mode is off; rules of an earlier run were not looked for: %s",
                 error->text);
        error->text[0] = '\0';
    }
    return progress_end(config, &state, SETUP_DISABLED, error);
}

/* Everything but status: each command is some of the steps, and the state file tells how far. */
static int work(const struct config *config, const struct arguments *arguments, struct error *error)
{
    enum command command = arguments->command;
    struct state state = {0};
    enum setup_state end = command == COMMAND_PREPARE ? SETUP_RUNNING : SETUP_READY;
    if (!config->transparent && command != COMMAND_CLEAR)
        return disable(config, error);
    if (progress_begin(config, &state, error) != 0)
        return -1;
    /* What cannot be finished is not begun. */
    int result = command == COMMAND_ALL ? redirect_check(config, error) : 0;
    if (result == 0 && (command == COMMAND_ALL || command == COMMAND_PREPARE))
        result = prepare(config, &state, error);
    if (result == 0 && (command == COMMAND_ALL || command == COMMAND_REDIRECT))
        result = redirect(config, arguments->wait_seconds, &state, error);
    if (result == 0 && command == COMMAND_CLEAR) {
        result = redirect_clear(&state, error);
        end = SETUP_DISABLED;
    }
    if (result == 0)
        result = progress_end(config, &state, end, error);
    if (result != 0)
        progress_fail(config, &state, error);
    return result;
}

/* The CA's key is in this process's memory for a while. */
static void forbid_core_dumps(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int main(int argc, char **argv)
{
    static struct config config;
    struct error error = {0};
    struct arguments arguments = parse_arguments(argc, argv);
    umask(022);
    forbid_core_dumps();
    if (config_load(&config, "setup") > 0)
        return EX_CONFIG;
    if (arguments.command == COMMAND_STATUS)
        return status_print(&config);
    int result = arguments.dry_run ? redirect_dry_run(&config, stdout, &error)
                                   : work(&config, &arguments, &error);
    if (result == 0)
        return 0;
    log_error("%s", error.text);
    return error.status;
}
