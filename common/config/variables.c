#include "common/config/variables.h"

#include <stdarg.h>
#include <string.h>

#include "common/config/parsers.h"

/* What ENFORCED_ELSEWHERE accepts, as text for people; the table is in foreign_policy.c. A "*"
 * stands for any ending. */
#define FOREIGN_NAMES                                                                              \
    "MODE, RULES, POLICY_FILE, PUBLIC_*, UPSTREAM_PROXY*, CREDENTIAL_*, DENY_WEBHOOK, "            \
    "BLOCK_DOH_443, DOH_BLOCKLIST, DNS_UPSTREAM, NAMESERVER_EXEMPT, separated by \",\""

/* One row per variable, in the order of --help. The table in docs/configuration.md is checked
 * against --help, which is printed from this one. */
static const struct variable table[] = {
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
    {"MITMPROXY_WORKERS", parse_workers, FIELD(workers), "1", "1 to 64, or auto",
     "mitmdump processes; auto: as many as the processors that the container may use"},
    {"MITMPROXY_FAST", parse_switch, FIELD(fast), "on", "1 true yes y on, or 0 false no n off",
     "fork mitmdump from a process that has imported it, and spare processor time"},
    {"MITMPROXY_SET", parse_set_list, FIELD(set), NULL,
     "mitmproxy options as name=value, separated by \";\", at most 64", "further options"},
    {"MITMPROXY_EXTRA_PORTS", parse_ports_or_all, FIELD(extra_ports), NULL,
     "ports from 1 to 65535, ranges such as 8000-8999, or all, separated by \",\", at most 64",
     "further TCP ports to redirect"},
    {"MITMPROXY_EXCLUDE_PORTS", parse_port_list, FIELD(exclude_ports), NULL,
     "ports from 1 to 65535, and ranges such as 8000-8999, separated by \",\", at most 64",
     "destination ports that are not redirected, TCP and UDP"},
    {"MITMPROXY_IPV6", parse_ipv6, FIELD(ipv6), "redirect", "redirect, reject or off",
     "what becomes of TCP over IPv6 to the redirected ports"},
    {"MITMPROXY_QUIC", parse_permission, FIELD(quic_allowed), "reject", "reject or allow",
     "what becomes of UDP to the redirected ports"},
    {"MITMPROXY_FORWARDED", parse_permission, FIELD(forwarded_allowed), "reject", "reject or allow",
     "what becomes of what the pod forwards for others to the redirected ports"},
    {"MITMPROXY_NON_HTTP", parse_non_http, FIELD(non_http), "reject", "reject, log or allow",
     "what happens to connections on the redirected ports that are neither TLS nor HTTP"},
    {"MITMPROXY_NO_NAME", parse_no_name, FIELD(no_name_passed), "verify", "verify or passthrough",
     "what happens to TLS whose client names no host: verified for its address, or undecrypted"},
    {"MITMPROXY_STREAM_REQUESTS", parse_size, FIELD(stream_requests), "8m",
     "bytes, or a number followed by k or m, from 0 to 128m",
     "larger request bodies are passed on in pieces; request hooks do not see them"},
    {"MITMPROXY_IDLE_TIMEOUT", parse_seconds, FIELD(idle_timeout), "3600", "seconds, 1 to 604800",
     "how long a connection lives without a byte"},
    {"MITMPROXY_EXCLUDE_CIDRS", parse_cidr_list, FIELD(exclude_cidrs), NULL,
     "networks as ADDRESS/PREFIX or single addresses, IPv4 or IPv6, separated by \",\", at most 64",
     "destinations that are not redirected"},
    {"MITMPROXY_EXCLUDE_UIDS", parse_uid_list, FIELD(exclude_uids), NULL,
     "user ids from 0 to 4294967294, separated by \",\", at most 64",
     "users whose traffic is not redirected"},
    {"OTHER_TRAFFIC", parse_permission, FIELD(other_traffic_allowed), "allow", "allow or reject",
     "what becomes of outbound traffic that is neither redirected nor excluded"},
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
    {"ENFORCED_ELSEWHERE", parse_word_list, FIELD(enforced_elsewhere), NULL, FOREIGN_NAMES,
     "variables of OpenSandbox's own egress component that another container enforces"},
#undef FIELD
};

_Static_assert(sizeof(table) / sizeof(table[0]) <= VARIABLES_MAX, "VARIABLES_MAX is too small");
const struct variable *const variables = table;
const size_t variable_count = sizeof(table) / sizeof(table[0]);

const struct variable *variable_find(const char *name)
{
    for (size_t i = 0; i < variable_count; i++)
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

void config_print_help(FILE *out)
{
    for (size_t i = 0; i < variable_count; i++) {
        const char *initial = variables[i].initial != NULL ? variables[i].initial : "none";
        fprintf(out, "  %s\n      %s; accepted: %s; default: %s\n", variables[i].name,
                variables[i].meaning, variables[i].accepted,
                initial[0] == '=' ? initial + 1 : initial);
    }
}
