#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/config/check.h"
#include "common/config/load.h"
#include "common/config/variables.h"
#include "common/process/descriptors.h"
#include "healthd/ask.h"
#include "healthd/http/sockets.h"
#include "healthd/link/signals.h"
#include "healthd/responder/responder.h"
#include "healthd/runner/runner.h"

static void print_help(void)
{
    printf("usage: healthd [--probe[=livez]]\n"
           "\n"
           "  (no option)    run mitmdump and answer /healthz, /livez and /metrics\n"
           "  --probe        ask a running healthd; exit 0 if it is ready, else 1\n"
           "  --probe=livez  the same, but 0 if it answers at all\n"
           "  --help, --version\n"
           "\n"
           "exit status: 0 after SIGTERM, SIGINT or SIGHUP; 64 usage; 69 port unavailable; 77 "
           "missing\n"
           "privilege; 78 configuration; 1 anything else\n"
           "\n"
           "environment, each with the prefix " CONFIG_PREFIX ":\n");
    config_print_help(stdout);
}

/* Returns the path to be asked for if only the probe is wanted, else NULL. */
static const char *parse_arguments(int argc, char **argv)
{
    if (argc < 2)
        return NULL;
    if (argc == 2 && strcmp(argv[1], "--probe") == 0)
        return "/healthz";
    if (argc == 2 && strcmp(argv[1], "--probe=livez") == 0)
        return "/livez";
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help();
        exit(0);
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("healthd " VERSION);
        exit(0);
    }
    fprintf(stderr, "healthd: unexpected argument \"%s\"; see healthd --help\n", argv[argc - 1]);
    exit(EX_USAGE);
}

/* Blocks signals, so that none is lost before it can be read, and closes inherited descriptors. */
static void settle(void)
{
    signals_block();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* if it were ignored, the kernel would reap children */
    umask(022);
    closefrom(3);
    descriptors_open_standard();
}

/* Root can become both users. Any other user stays what it is and must be MITMPROXY_USER, whose uid
 * is exempt from the redirect. */
static int check_user(const struct config *config)
{
    const struct user *user = &config->healthd_user;
    if (geteuid() != 0) {
        if (!config->transparent || geteuid() == config->user.uid)
            return 0;
        log_error(
            "started as uid %u: needs CAP_SETUID and CAP_SETGID, or to be started as " CONFIG_PREFIX
            "MITMPROXY_USER=\"%s\" (uid %u)",
            geteuid(), config->user.name, config->user.uid);
        return EX_NOPERM;
    }
    if (user->known && user->uid != 0)
        return 0;
    config_report(config, "HEALTHD_USER", user->name, user->known ? "is root" : "unknown user");
    return EX_CONFIG;
}

/* Forks the runner. 0, or -1 with errno. */
static int fork_runner(const struct config *config, const struct listeners *listeners,
                       struct runner_link *runner)
{
    int ends[2];
    pid_t parent = getpid();
    struct pulse *pulse =
        mmap(NULL, sizeof(*pulse), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pulse == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    pulse->runner_ms = clock_ms();
    *runner = (struct runner_link){fork(), ends[0], pulse};
    if (runner->pid == 0) {
        close(ends[0]);
        for (size_t i = 0; i < listeners->count; i++)
            close(listeners->fds[i]);
        exit(runner_run(config, ends[1], pulse, parent));
    }
    close(ends[1]);
    /* Only the runner writes it. */
    return runner->pid > 0 ? mprotect(pulse, sizeof(*pulse), PROT_READ) : -1;
}

int main(int argc, char **argv)
{
    static struct config config;
    struct listeners listeners;
    struct error error;
    struct runner_link runner = {0, -1, NULL};
    const char *asked = parse_arguments(argc, argv);
    if (asked == NULL)
        settle();
    if (config_load(&config, "healthd", CONFIG_MUST_HOLD) > 0)
        return EX_CONFIG;
    if (asked != NULL)
        return probe(&config, asked);
    int status = check_user(&config);
    if (status != 0)
        return status;
    if (listeners_open(&config, &listeners, &error) != 0) {
        log_error("%s", error.text);
        return error.status;
    }
    if (config.transparent && fork_runner(&config, &listeners, &runner) != 0) {
        log_error("fork the runner: %s", strerror(errno));
        return 1;
    }
    return responder_run(&config, &listeners, &runner);
}
