#include "healthd/runner/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/mitmdump/access.h"
#include "common/mitmdump/addons.h"

enum { ARGUMENTS_MAX = 512 };

struct command {
    char *arguments[ARGUMENTS_MAX];
    size_t count;
    bool failed;
};

__attribute__((format(printf, 2, 0))) static void add_formatted(struct command *command,
                                                                const char *format, va_list args)
{
    char *argument = NULL;
    if (command->count + 1 >= ARGUMENTS_MAX || vasprintf(&argument, format, args) < 0)
        command->failed = true;
    else
        command->arguments[command->count++] = argument;
}

__attribute__((format(printf, 2, 3))) static void add(struct command *command, const char *format,
                                                      ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(command, format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static void add_option(struct command *command,
                                                             const char *format, ...)
{
    va_list args;
    add(command, "--set");
    va_start(args, format);
    add_formatted(command, format, args);
    va_end(args);
}

/* Adds an option unless MITMPROXY_SET has it: mitmproxy refuses an option that is set twice. */
static void add_default(struct command *command, const struct config *config, const char *name,
                        const char *value)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < config->set.count; i++)
        if (strncmp(config->set.items[i], name, length) == 0 && config->set.items[i][length] == '=')
            return;
    add_option(command, "%s=%s", name, value);
}

/* worker.py gives each of these the runner's socket with that address. */
static void add_modes(struct command *command, const struct config *config, bool with_ipv6)
{
    add(command, "--mode");
    add(command, "transparent@127.0.0.1:%u", config->port);
    if (!with_ipv6)
        return;
    add(command, "--mode");
    add(command, "transparent@::1:%u", config->port);
}

/* The options on which the promises depend. MITMPROXY_SET may not name them
 * (common/config/reserved_options.c). */
static void add_fixed(struct command *command, const struct config *config)
{
    static const char *const non_http[] = {
        [NON_HTTP_REJECT] = "reject", [NON_HTTP_LOG] = "log", [NON_HTTP_ALLOW] = "allow"};
    add_option(command, "confdir=%s", config->confdir);
    /* worker.py has it listen when its start is over. */
    add_option(command, "server=false");
    /* lazy: connects to the upstream only when admission.py knows the protocol. eager: the upstream
     * may be the one that speaks first. */
    add_option(command, "connection_strategy=%s",
               config->non_http == NON_HTTP_REJECT ? "lazy" : "eager");
    /* admission.py decides what is raw TCP. An HTTP connection never becomes raw by an upgrade. */
    add_option(command, "rawtcp=false");
    /* The certificate is for the name that the client has asked for, and no other. */
    add_option(command, "upstream_cert=false");
    add_option(command, "termlog_verbosity=%s", config->log_level == LEVEL_DEBUG ? "info" : "warn");
    if (config->ssl_insecure)
        add_option(command, "ssl_insecure=true");
    add_option(command, "egress_non_http=%s", non_http[config->non_http]);
    add_option(command, "egress_no_name=%s", config->no_name_passed ? "passthrough" : "verify");
    add_option(command, "egress_stream_requests=%" PRIu64, config->stream_requests);
    add_option(command, "egress_idle_timeout=%u", config->idle_timeout);
    /* The option is repeated for each pattern: all of them count. */
    for (size_t i = 0; i < config->ignore_hosts.count; i++)
        add_option(command, "egress_ignore_hosts=%s", config->ignore_hosts.items[i]);
}

static void add_defaults(struct command *command, const struct config *config)
{
    /* The proxy does not answer for mitm.it, a host of its own. */
    add_default(command, config, "onboarding", "false");
    /* Redirected connections come from the pod's address, which may be a public one. */
    add_default(command, config, "block_global", "false");
    /* Flows are not logged, because URLs carry secrets. */
    add_default(command, config, "flow_detail", "0");
    if (!config->ssl_insecure)
        add_default(command, config, "ssl_verify_upstream_trusted_confdir",
                    config->upstream_trust_dir);
}

static void add_scripts(struct command *command, const struct config *config)
{
    char path[PATH_MAX];
    for (enum addon addon = 0; addon < ADDONS_LOADED; addon++) {
        shipped_addon_path(config, addon, path);
        add(command, "-s");
        add(command, "%s", path);
    }
    for (size_t i = 0; i < config->scripts.count; i++) {
        add(command, "-s");
        add(command, "%s", config->scripts.items[i]);
    }
}

/* launch.py is run by the Python of mitmdump's first line. env(1) there is not accepted: the
 * interpreter that it finds could be anything. */
static bool add_launcher(struct command *command, const struct config *config)
{
    char interpreter[PATH_MAX] = "", script[PATH_MAX];
    if (!config->fast)
        return false;
    bool has_options = script_interpreter(config->bin, interpreter);
    if (strstr(interpreter, "/python") == NULL || has_options) {
        log_info("no launcher: %s is not a script with a Python alone in its first line",
                 config->bin);
        return false;
    }
    shipped_addon_path(config, ADDON_LAUNCH, script);
    add(command, "%s", interpreter);
    add(command, "%s", script);
    return true;
}

int commands_build(const struct config *config, bool with_ipv6, struct commands *commands,
                   struct error *error)
{
    static struct command command;
    commands->launcher = add_launcher(&command, config) ? command.arguments : NULL;
    commands->mitmdump = command.arguments + command.count;
    add(&command, "%s", config->bin);
    add_modes(&command, config, with_ipv6);
    add_fixed(&command, config);
    add_defaults(&command, config);
    add_scripts(&command, config);
    for (size_t i = 0; i < config->set.count; i++)
        add_option(&command, "%s", config->set.items[i]);
    if (command.failed)
        return error_set(error, 1, "mitmdump's command line: out of memory or too long");
    return 0;
}
