#include "common/config/config.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/check.h"
#include "common/config/foreign_policy.h"
#include "common/config/parsers.h"

extern char **environ;

/* One row a variable. The log's rows come first, so that errors of all others are written as asked
 * for. The README's table is checked against --help, which is made from this. */
static const struct variable {
    const char *name; /* behind CONFIG_PREFIX */
    const char *(*parse)(const char *value, void *field);
    size_t offset;
    const char *initial; /* what an unset or empty variable counts as; behind "=" only words for
                            people, NULL for none */
    const char *accepted;
    const char *meaning;
} variables[] = {
#define FIELD(member) offsetof(struct config, member)
    {"LOG_LEVEL", parse_level, FIELD(log_level), "info", "debug, info, warn or error",
     "what is logged"},
    {"LOG_FORMAT", parse_format, FIELD(log_format), "text", "text or json", "form of log lines"},
    {"MITMPROXY_TRANSPARENT", parse_switch, FIELD(transparent), "off",
     "1 true yes y on, or 0 false no n off", "turns everything on"},
    {"MITMPROXY_PORT", parse_port, FIELD(port), "18081",
     "1 to 65535, but not a redirected port and not the health port", "proxy port"},
    {"MITMPROXY_SCRIPT", parse_path_list, FIELD(scripts), NULL,
     "absolute paths of files, separated by \",\", at most 64", "addons"},
    {"MITMPROXY_IGNORE_HOSTS", parse_regex_list, FIELD(ignore_hosts), NULL,
     "regular expressions, separated by \";\", at most 64",
     "hosts whose TLS is passed through undecrypted"},
    {"MITMPROXY_CONFDIR", parse_path, FIELD(confdir),
     "=.mitmproxy in the user's home, else /var/lib/mitmproxy/.mitmproxy", "an absolute path",
     "mitmproxy's directory with CA and key"},
    {"MITMPROXY_CA_DIR", parse_path, FIELD(ca_dir), NULL,
     "the absolute path of a directory with tls.crt and tls.key, or mitmproxy-ca.pem",
     "read-only source of a fixed CA"},
    {"MITMPROXY_UPSTREAM_TRUST_DIR", parse_path, FIELD(upstream_trust_dir), "/etc/ssl/certs",
     "the absolute path of an OpenSSL hashed directory", "CAs that upstream servers may have"},
    {"MITMPROXY_SSL_INSECURE", parse_switch, FIELD(ssl_insecure), "off",
     "1 true yes y on, or 0 false no n off", "do not verify upstream certificates"},
    {"MITMPROXY_USER", parse_user, FIELD(user), "mitmproxy",
     "a user's name, or uid[:gid] from 1 to 4294967294, but not root",
     "user that mitmdump runs as"},
    {"MITMPROXY_BIN", parse_program, FIELD(bin), "mitmdump",
     "an executable's absolute path, or its name on PATH", "the mitmdump program"},
    {"MITMPROXY_SCRIPTS_DIR", parse_path, FIELD(scripts_dir), SCRIPTS_DIR,
     "the absolute path of the directory with admission.py", "where the shipped addons are"},
    {"MITMPROXY_WRITABLE_SCRIPTS", parse_switch, FIELD(writable_scripts), "off",
     "1 true yes y on, or 0 false no n off",
     "accept addons that others than root and MITMPROXY_USER can write"},
    {"MITMPROXY_QUICK_START", parse_switch, FIELD(quick_start), "on",
     "1 true yes y on, or 0 false no n off", "start mitmdump by quick_start.py, in half the time"},
    {"MITMPROXY_SET", parse_set_list, FIELD(set), NULL,
     "mitmproxy options as name=value, separated by \";\", at most 64", "further options"},
    {"MITMPROXY_EXTRA_PORTS", parse_port_list, FIELD(extra_ports), NULL,
     "TCP ports from 1 to 65535, separated by \",\", at most 13", "further ports to redirect"},
    {"MITMPROXY_IPV6", parse_ipv6, FIELD(ipv6), "redirect", "redirect, reject or off",
     "what becomes of TCP over IPv6 to the redirected ports"},
    {"MITMPROXY_QUIC", parse_quic, FIELD(quic_allowed), "reject", "reject or allow",
     "what becomes of UDP to the redirected ports"},
    {"MITMPROXY_NON_HTTP", parse_non_http, FIELD(non_http), "reject", "reject, log or allow",
     "what becomes of what is neither TLS nor HTTP on the redirected ports"},
    {"MITMPROXY_STREAM_REQUESTS", parse_size, FIELD(stream_requests), "8m",
     "bytes, or a number with k or m behind, from 0 to 128m",
     "request bodies above this size go on in pieces, after request hooks without a body"},
    {"MITMPROXY_EXCLUDE_CIDRS", parse_cidr_list, FIELD(exclude_cidrs), NULL,
     "networks as ADDRESS/PREFIX or single addresses, IPv4 or IPv6, separated by \",\", at most 64",
     "destinations that are not redirected"},
    {"MITMPROXY_EXCLUDE_UIDS", parse_uid_list, FIELD(exclude_uids), NULL,
     "user ids from 0 to 4294967294, separated by \",\", at most 64",
     "users whose traffic is not redirected"},
    {"REDIRECT_BACKEND", parse_backend, FIELD(backend), "auto", "auto, iptables or nft",
     "the kernel interface that holds the rules"},
    {"HEALTHD_USER", parse_user, FIELD(healthd_user), "nobody",
     "a user's name, or uid[:gid] from 1 to 4294967294, but not root and not MITMPROXY_USER",
     "user that answers /healthz"},
    {"HTTP_ADDR", parse_address, FIELD(http), ":18080",
     "[host]:port, where host is empty or an IP address (IPv6 in brackets)",
     "where healthd answers"},
    {"STATE_FILE", parse_file, FIELD(state_file), "/run/opensandbox-egress/state",
     "the absolute path of a file in a directory of its own", "state shared by both programs"},
    {"EXPORT_DIR", parse_path, FIELD(export_dir), "/opt/opensandbox", "an absolute path",
     "where CA certificate and bundles are exported"},
    {"EXPORT_MOUNT", parse_path, FIELD(export_mount), "=EXPORT_DIR",
     "an absolute path of letters, digits and /._-+,=@%",
     "where applications see EXPORT_DIR, for the paths in trust.env"},
    {"ENFORCED_ELSEWHERE", parse_word_list, FIELD(enforced_elsewhere), NULL, FOREIGN_POLICY_NAMES,
     "variables of OpenSandbox's own egress component that another container enforces"},
#undef FIELD
};
enum { VARIABLE_COUNT = sizeof(variables) / sizeof(variables[0]) };

static const struct variable *variable_find(const char *name)
{
    for (size_t i = 0; i < VARIABLE_COUNT; i++)
        if (strcmp(variables[i].name, name) == 0)
            return &variables[i];
    return NULL;
}

void config_complain(const struct config *config, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (config->need == CONFIG_MUST_HOLD)
        log_error("%s", text);
    else
        log_warn("%s", text);
}

void config_report(const struct config *config, const char *name, const char *value,
                   const char *reason)
{
    config_complain(config, CONFIG_PREFIX "%s=\"%.100s%s\": %s; accepted: %s", name, value,
                    strlen(value) > 100 ? "..." : "", reason, variable_find(name)->accepted);
}

static bool has_control_characters(const char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            return true;
    return false;
}

/* Copies value without the white space around it. False if it does not fit. */
static bool copy_trimmed(char trimmed[static CONFIG_VALUE_MAX], const char *value)
{
    while (isspace((unsigned char)*value))
        value++;
    size_t length = strlen(value);
    while (length > 0 && isspace((unsigned char)value[length - 1]))
        length--;
    if (length >= CONFIG_VALUE_MAX)
        return false;
    memcpy(trimmed, value, length);
    trimmed[length] = '\0';
    return true;
}

/* Fills the variable's field from the environment or its initial value. Returns what is wrong. */
static const char *load(const struct variable *variable, struct config *config)
{
    char full_name[80];
    char trimmed[CONFIG_VALUE_MAX];
    void *field = (char *)config + variable->offset;
    snprintf(full_name, sizeof(full_name), CONFIG_PREFIX "%s", variable->name);
    const char *value = getenv(full_name);
    if (value == NULL)
        value = "";
    if (!copy_trimmed(trimmed, value))
        return "too long";
    if (trimmed[0] == '\0') {
        bool none = variable->initial == NULL || variable->initial[0] == '=';
        return none ? NULL : variable->parse(variable->initial, field);
    }
    if (has_control_characters(trimmed))
        return "control characters";
    return variable->parse(trimmed, field);
}

static void take_default_confdir(struct config *config)
{
    if (config->confdir[0] != '\0')
        return;
    user_find_home(&config->user);
    const char *home = config->user.home[0] != '\0' ? config->user.home : "/var/lib/mitmproxy";
    snprintf(config->confdir, sizeof(config->confdir), "%.4000s/.mitmproxy", home);
}

/* Levenshtein's distance, with one row of the matrix. */
static size_t distance(const char *a, const char *b)
{
    size_t row[128];
    size_t length = strlen(b);
    if (length >= sizeof(row) / sizeof(row[0]))
        return SIZE_MAX;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[length];
}

static void warn_unknown(const char *name)
{
    size_t nearest = 0;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        size_t found = distance(name, variables[i].name);
        if (found < least) {
            nearest = i;
            least = found;
        }
    }
    log_warn(CONFIG_PREFIX "%s: no such variable; did you mean " CONFIG_PREFIX "%s?", name,
             variables[nearest].name);
}

/* Returns how many of the variables that are none of ours are errors. */
static int report_other_variables(const struct config *config)
{
    int errors = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        char name[120];
        if (strncmp(*entry, CONFIG_PREFIX, strlen(CONFIG_PREFIX)) != 0)
            continue;
        strlcpy(name, *entry + strlen(CONFIG_PREFIX), sizeof(name));
        name[strcspn(name, "=")] = '\0';
        if (variable_find(name) != NULL)
            continue;
        const char *equals = strchr(*entry, '=');
        int found = foreign_policy_report(config, name, equals != NULL ? equals + 1 : "");
        if (found < 0)
            warn_unknown(name);
        else
            errors += found;
    }
    return errors;
}

/* Reports every value that did not parse, for the reason there, and whatever else is wrong. */
static int report_all(struct config *config, const char *const reasons[static VARIABLE_COUNT])
{
    int errors = 0;
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        char full_name[80];
        if (reasons[i] == NULL)
            continue;
        snprintf(full_name, sizeof(full_name), CONFIG_PREFIX "%s", variables[i].name);
        config_report(config, variables[i].name, getenv(full_name), reasons[i]);
        errors++;
    }
    errors += foreign_policy_check_elsewhere(config) + report_other_variables(config);
    return errors + config_check(config);
}

int config_load(struct config *config, const char *program, enum config_need need)
{
    const char *reasons[VARIABLE_COUNT];
    memset(config, 0, sizeof(*config));
    config->need = need;
    config->log_level = LEVEL_INFO;
    for (size_t i = 0; i < VARIABLE_COUNT; i++)
        reasons[i] = load(&variables[i], config);
    log_init(program, config->log_level, config->log_format);
    take_default_confdir(config);
    if (config->export_mount[0] == '\0')
        strlcpy(config->export_mount, config->export_dir, sizeof(config->export_mount));
    return need == CONFIG_IS_CHECKED ? 0 : report_all(config, reasons);
}

void config_print_help(FILE *out)
{
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        const char *initial = variables[i].initial != NULL ? variables[i].initial : "none";
        fprintf(out, "  %s\n      %s; accepted: %s; default: %s\n", variables[i].name,
                variables[i].meaning, variables[i].accepted,
                initial[0] == '=' ? initial + 1 : initial);
    }
}
