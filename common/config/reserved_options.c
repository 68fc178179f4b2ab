#include "common/config/reserved_options.h"

#include <string.h>

#include "common/config/config.h"

/* Options that would break a promise of this project, or make mitmdump listen where the redirect
 * does not lead. The reason names the variable to set instead, if there is one. */
static const struct {
    const char *name;
    const char *reason;
} reserved[] = {
#define INSTEAD(option, variable)                                                                  \
    {                                                                                              \
        option, option " is set by " CONFIG_PREFIX variable                                        \
    }
#define FIXED(option)                                                                              \
    {                                                                                              \
        option, option " is fixed: the promises of this project depend on it"                      \
    }
    INSTEAD("mode", "MITMPROXY_PORT"),
    INSTEAD("listen_host", "MITMPROXY_PORT"),
    INSTEAD("listen_port", "MITMPROXY_PORT"),
    INSTEAD("rawtcp", "MITMPROXY_NON_HTTP"),
    INSTEAD("tcp_hosts", "MITMPROXY_NON_HTTP"),
    INSTEAD("udp_hosts", "MITMPROXY_NON_HTTP"),
    INSTEAD("ignore_hosts", "MITMPROXY_IGNORE_HOSTS"),
    INSTEAD("allow_hosts", "MITMPROXY_IGNORE_HOSTS"),
    INSTEAD("stream_large_bodies", "MITMPROXY_STREAM_REQUESTS"),
    INSTEAD("tcp_timeout", "MITMPROXY_IDLE_TIMEOUT"),
    INSTEAD("ssl_insecure", "MITMPROXY_SSL_INSECURE"),
    INSTEAD("scripts", "MITMPROXY_SCRIPT"),
    INSTEAD("confdir", "MITMPROXY_CONFDIR"),
    INSTEAD("termlog_verbosity", "LOG_LEVEL"),
    FIXED("upstream_cert"),
    FIXED("connection_strategy"),
    FIXED("validate_inbound_headers"),
    FIXED("websocket"),
    FIXED("server"),
#undef INSTEAD
#undef FIXED
};

const char *option_why_reserved(const char *name, size_t length)
{
    if (strncmp(name, "egress_", strlen("egress_")) == 0)
        return "options egress_... are those of the shipped addons, which have variables";
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strlen(reserved[i].name) == length && strncmp(name, reserved[i].name, length) == 0)
            return reserved[i].reason;
    return NULL;
}
