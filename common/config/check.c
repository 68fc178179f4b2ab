#include "common/config/check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config/config.h"
#include "common/config/variables.h"
#include "common/kernel/canary.h"

/* A value that did not parse was reported already and left its field zero. These checks skip it. */

static int check_user(const struct config *config, const char *name, const struct user *user)
{
    if (user->name[0] == '\0')
        return 0;
    if (!user->known) {
        config_report(config, name, user->name, "unknown user");
        return 1;
    }
    if (user->uid == 0) {
        config_report(config, name, user->name, "is root");
        return 1;
    }
    if (user->gid == 0) {
        config_report(config, name, user->name, "has root's group");
        return 1;
    }
    return 0;
}

static int check_users(const struct config *config)
{
    const struct user *mitm = &config->user;
    const struct user *healthd = &config->healthd_user;
    int errors =
        check_user(config, "MITMPROXY_USER", mitm) + check_user(config, "HEALTHD_USER", healthd);
    if (errors == 0 && mitm->known && healthd->known && mitm->uid == healthd->uid) {
        config_report(config, "HEALTHD_USER", healthd->name, "is MITMPROXY_USER");
        errors++;
    }
    return errors;
}

static bool is_redirected(const struct config *config, uint16_t port)
{
    /* A range leaves our own ports out. */
    return port_is_named(&config->extra_ports, port) || port == 80 || port == 443;
}

/* On the canary's own port healthd would be reached by the canary even without a rule. */
static int check_health_port(const struct config *config)
{
    if (config->http.port != CANARY_PORT)
        return 0;
    config_report(config, "HTTP_ADDR", ":9", "is the canary's port");
    return 1;
}

/* With MITMPROXY_IPV6=off there are no rules for IPv6 that could refuse anything. */
static int check_other_traffic(const struct config *config)
{
    if (config->other_traffic_allowed || config->ipv6 != IPV6_OFF)
        return 0;
    config_report(config, "OTHER_TRAFFIC", "reject",
                  "does not go with " CONFIG_PREFIX "MITMPROXY_IPV6=off");
    return 1;
}

static int check_ports(const struct config *config)
{
    char value[8];
    const char *reason = NULL;
    if (is_redirected(config, config->port))
        reason = "is a redirected port";
    else if (config->port != 0 && config->port == config->http.port)
        reason = "is the port of " CONFIG_PREFIX "HTTP_ADDR";
    else if (config->port == CANARY_PORT)
        reason = "is the canary's port";
    if (reason == NULL)
        return check_health_port(config);
    snprintf(value, sizeof(value), "%u", config->port);
    config_report(config, "MITMPROXY_PORT", value, reason);
    return 1 + check_health_port(config);
}

/* Is there a file of that type (S_IFREG, S_IFDIR)? Access rights are checked later, by a process of
 * the user that needs them. */
static int check_file(const struct config *config, const char *name, const char *value,
                      const char *path, mode_t type)
{
    struct stat st;
    const char *reason = NULL;
    if (stat(path, &st) != 0)
        reason = strerror(errno);
    else if ((st.st_mode & S_IFMT) != type)
        reason = type == S_IFDIR ? "not a directory" : "not a regular file";
    if (reason == NULL)
        return 0;
    config_report(config, name, value, reason);
    return 1;
}

static int check_files(const struct config *config)
{
    char addon[PATH_MAX + 16];
    int errors = 0;
    for (size_t i = 0; i < config->scripts.count; i++)
        errors += check_file(config, "MITMPROXY_SCRIPT", config->scripts.items[i],
                             config->scripts.items[i], S_IFREG);
    if (config->upstream_trust_dir[0] != '\0' && !config->ssl_insecure)
        errors += check_file(config, "MITMPROXY_UPSTREAM_TRUST_DIR", config->upstream_trust_dir,
                             config->upstream_trust_dir, S_IFDIR);
    if (config->scripts_dir[0] != '\0') {
        snprintf(addon, sizeof(addon), "%s/admission.py", config->scripts_dir);
        errors += check_file(config, "MITMPROXY_SCRIPTS_DIR", config->scripts_dir, addon, S_IFREG);
    }
    return errors;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

/* Searches PATH as execvp(3) does, but only its absolute directories. */
static bool find_program(const char *name, char found[static PATH_MAX])
{
    const char *path = getenv("PATH");
    if (path == NULL)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path != '\0') {
        size_t length = strcspn(path, ":");
        int size = snprintf(found, PATH_MAX, "%.*s/%s", (int)length, path, name);
        if (length > 0 && path[0] == '/' && size < PATH_MAX && is_program(found))
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

static int check_program(struct config *config)
{
    char found[PATH_MAX];
    if (config->bin[0] == '\0')
        return 0;
    if (config->bin[0] == '/') {
        if (is_program(config->bin))
            return 0;
        config_report(config, "MITMPROXY_BIN", config->bin, "not an executable file");
        return 1;
    }
    if (!find_program(config->bin, found)) {
        config_report(config, "MITMPROXY_BIN", config->bin, "not on PATH");
        return 1;
    }
    strlcpy(config->bin, found, sizeof(config->bin));
    return 0;
}

/* Java splits JAVA_TOOL_OPTIONS at white space, OpenSSL splits SSL_CERT_DIR at colons, and a shell
 * may read trust.env. */
static int check_export_mount(const struct config *config)
{
    bool has_own_mount = strcmp(config->export_mount, config->export_dir) != 0;
    const char *mount = config->export_mount;
    for (const char *at = mount; *at != '\0'; at++) {
        if (isalnum((unsigned char)*at) || strchr("/._-+,=@%", *at) != NULL)
            continue;
        config_report(config, has_own_mount ? "EXPORT_MOUNT" : "EXPORT_DIR", mount,
                      "trust.env cannot name it: " CONFIG_PREFIX
                      "EXPORT_MOUNT may have letters, digits and /._-+,=@% only");
        return 1;
    }
    return 0;
}

int config_check(struct config *config)
{
    if (!config->transparent)
        return 0;
    return check_users(config) + check_ports(config) + check_other_traffic(config) +
           check_files(config) + check_export_mount(config) + check_program(config);
}
