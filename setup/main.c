#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/config/load.h"
#include "common/config/variables.h"
#include "common/process/descriptors.h"
#include "common/process/privileges.h"
#include "common/state/state.h"
#include "setup/prepare/prepare.h"
#include "setup/record/progress.h"
#include "setup/redirect/redirect.h"
#include "setup/redirect/wait.h"
#include "setup/status/status.h"

enum command { COMMAND_ALL, COMMAND_PREPARE, COMMAND_REDIRECT, COMMAND_CLEAR, COMMAND_STATUS };

enum { WAIT_SECONDS = 60, WAIT_SECONDS_MAX = 3600 };

struct arguments {
    enum command command;
    struct wait wait;
    bool dry_run;
};

static void print_help(FILE *out)
{
    fprintf(out,
            "usage: setup [prepare | clear | status]\n"
            "       setup redirect [--wait[=SECONDS]] [--while=PID] [--dry-run]\n"
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

/* Parses a number from 1 to most, or ends setup. */
static long long parse_number(const char *option, const char *value, long long most)
{
    const char *reason = NULL;
    long long number = strtonum(value, 1, most, &reason);
    if (reason == NULL)
        return number;
    fprintf(stderr, "setup: %s=\"%s\" is %s; accepted: 1 to %lld\n", option, value, reason, most);
    exit(EX_USAGE);
}

static void parse_option(const char *option, struct arguments *arguments)
{
    if (arguments->command == COMMAND_REDIRECT && strcmp(option, "--dry-run") == 0) {
        arguments->dry_run = true;
        return;
    }
    if (arguments->command == COMMAND_REDIRECT && strncmp(option, "--while=", 8) == 0) {
        arguments->wait.parent = (pid_t)parse_number("--while", option + 8, INT_MAX);
        return;
    }
    if (arguments->command != COMMAND_REDIRECT || strncmp(option, "--wait", 6) != 0)
        usage_error(option);
    if (option[6] == '\0') {
        arguments->wait.seconds = WAIT_SECONDS;
        arguments->wait.endless = true;
        return;
    }
    if (option[6] != '=')
        usage_error(option);
    arguments->wait.seconds = (unsigned int)parse_number("--wait", option + 7, WAIT_SECONDS_MAX);
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

/* Transparent mode is off: no rules may be left. Without the privilege to look, the state file
 * tells. */
static int disable(struct state *state, struct error *error)
{
    uint32_t rules = state->rules;
    if (redirect_clear(state, error) == 0)
        return 0;
    if (error->status != EX_NOPERM || rules > 0)
        return -1;
    log_warn("transparent mode is off; rules of an earlier run were not looked for: %s",
             error->text);
    return 0;
}

/* The steps of a command. Sets *end to the state that they lead to. */
static int take_steps(const struct config *config, enum command command, struct state *state,
                      enum setup_state *end, struct error *error)
{
    static struct redirect_plan plan; /* large */
    bool rules_hold = state->rules > 0;
    if (!config->transparent) {
        *end = SETUP_DISABLED;
        return disable(state, error);
    }
    /* Planned first, so that nothing is begun that cannot be finished. */
    if (command != COMMAND_PREPARE && redirect_make_plan(config, &plan, error) != 0)
        return -1;
    if (command != COMMAND_REDIRECT && prepare(config, state, error) != 0)
        return -1;
    *end = rules_hold || command != COMMAND_PREPARE ? SETUP_READY : SETUP_RUNNING;
    return command != COMMAND_PREPARE ? redirect(config, &plan, state, error) : 0;
}

/* Removes the rules even if the configuration is wrong or the state file cannot be written. It only
 * waits for another setup. */
static int clear(const struct config *config, struct error *error)
{
    struct progress progress = {.place.directory = -1};
    struct error why = {0};
    if (!capability_held(CAP_NET_ADMIN))
        return error_set(error, EX_NOPERM, "setup clear needs CAP_NET_ADMIN");
    bool open = progress_resume(config, &progress, &why) == 0;
    int lock = open ? progress_lock(&progress, &why) : -1;
    if (lock < 0 && why.status == EX_UNAVAILABLE) {
        *error = why;
        return -1;
    }
    bool recorded = lock >= 0 && progress_write(&progress, SETUP_RUNNING, &why) == 0;
    int result = redirect_clear(&progress.state, error);
    if (recorded && result != 0)
        progress_fail(&progress, error);
    else if (recorded)
        recorded = progress_write(&progress, SETUP_DISABLED, &why) == 0;
    if (!recorded)
        log_warn("the state file is not up to date: %s", why.text);
    if (lock >= 0)
        close(lock);
    return result;
}

/* Runs every command but status and clear. The state file tells how far it is. Only one setup at a
 * time makes changes. */
static int work(const struct config *config, const struct arguments *arguments, struct error *error)
{
    struct progress progress = {.place.directory = -1};
    enum setup_state end = SETUP_FAILED;
    bool waits = config->transparent && arguments->wait.seconds > 0;
    if (progress_begin(config, &progress, error) != 0)
        return -1;
    int result = waits ? wait_for_mitmdump(config, &arguments->wait, error) : 0;
    if (waits && result == 0)
        result = progress_resume(config, &progress, error);
    int lock = result == 0 ? progress_lock(&progress, error) : -1;
    if (lock < 0)
        result = -1;
    if (result == 0)
        result = take_steps(config, arguments->command, &progress.state, &end, error);
    if (result == 0)
        result = progress_write(&progress, end, error);
    /* Without CAP_NET_ADMIN no rule was changed: what was in effect still is. */
    struct error ignored;
    bool holds =
        progress.was_ready && error->status == EX_NOPERM && !capability_held(CAP_NET_ADMIN);
    if (result != 0 && holds)
        progress_write(&progress, SETUP_READY, &ignored);
    else if (result != 0)
        progress_fail(&progress, error);
    if (lock >= 0)
        close(lock);
    return result;
}

/* This process has the files of the CA's key open for a while: nobody may trace it or read its
 * core. */
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
    /* A log without a reader must not end work that is half done. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* if it were ignored, the status of a child would be lost */
    descriptors_open_standard();
    forbid_core_dumps();
    bool clears = arguments.command == COMMAND_CLEAR;
    int wrong = config_load(&config, "setup", clears ? CONFIG_MAY_BE_WRONG : CONFIG_MUST_HOLD);
    if (arguments.command == COMMAND_STATUS)
        return wrong > 0 ? status_print_live(&config) : status_print(&config);
    if (wrong > 0 && !clears)
        return EX_CONFIG;
    int result = clears              ? clear(&config, &error)
                 : arguments.dry_run ? redirect_dry_run(&config, stdout, &error)
                                     : work(&config, &arguments, &error);
    if (result == 0)
        return 0;
    log_error("%s", error.text);
    return error.status;
}
