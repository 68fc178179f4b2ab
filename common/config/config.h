#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/log.h"
#include "common/config/user.h"

/* The configuration of both programs: environment variables, read once. variables.c has the
 * table, load.c fills this. */

#define CONFIG_PREFIX "OPENSANDBOX_EGRESS_"

enum { CONFIG_VALUE_MAX = 4096, CONFIG_LIST_MAX = 64, WORKERS_MAX = 64 };

/* The items of a variable with several values. They point into text. */
struct list {
    size_t count;
    char *items[CONFIG_LIST_MAX];
    char text[CONFIG_VALUE_MAX];
};

/* Ports from first to last. */
struct port_range {
    uint16_t first, last;
};

struct port_list {
    size_t count;
    struct port_range ranges[CONFIG_LIST_MAX];
};

struct uid_list {
    size_t count;
    uid_t uids[CONFIG_LIST_MAX];
};

/* A network. All bits of address after the prefix are zero. */
struct cidr {
    int family; /* AF_INET (the first four bytes of address) or AF_INET6 */
    uint8_t prefix;
    struct in6_addr address;
};

struct cidr_list {
    size_t count;
    struct cidr networks[CONFIG_LIST_MAX];
};

/* What becomes of TCP over IPv6 to the redirected ports. */
enum ipv6_mode { IPV6_REDIRECT, IPV6_REJECT, IPV6_OFF };

/* What happens to a connection, or to the content of decrypted TLS, that is neither TLS nor HTTP:
 * it is closed and logged, passed and logged, or passed. */
enum non_http_mode { NON_HTTP_REJECT, NON_HTTP_LOG, NON_HTTP_ALLOW };

/* No configuration can make the proxy collect a larger request body than this. */
enum { STREAM_REQUESTS_MAX = 128 << 20, SECONDS_MAX = 7 * 24 * 60 * 60 };

enum backend_choice { BACKEND_AUTO, BACKEND_IPTABLES, BACKEND_NFT };

/* Where healthd answers. An empty host is every address of both families. */
struct http_address {
    int family; /* AF_INET, AF_INET6, or AF_UNSPEC for every address */
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } host;
    uint16_t port;
};

/* How strictly config_load treats the configuration. */
enum config_need {
    CONFIG_MUST_HOLD,    /* mistakes are errors */
    CONFIG_MAY_BE_WRONG, /* mistakes are warnings; fields that do not parse are zero */
    CONFIG_IS_CHECKED    /* by the program that executed this one: nothing is reported */
};

struct config {
    enum config_need need;
    bool transparent;
    uint16_t port;
    struct list scripts;
    struct list ignore_hosts;
    char confdir[PATH_MAX];
    char ca_dir[PATH_MAX]; /* "" for none */
    char upstream_trust_dir[PATH_MAX];
    bool ssl_insecure;
    struct user user;
    char bin[PATH_MAX]; /* absolute after config_load, if it was found */
    char scripts_dir[PATH_MAX];
    struct list set;
    struct port_list extra_ports;
    struct port_list exclude_ports; /* TCP and UDP */
    enum ipv6_mode ipv6;
    bool quic_allowed;          /* UDP to the redirected ports */
    bool other_traffic_allowed; /* what is neither redirected nor excluded */
    bool forwarded_allowed; /* what the pod forwards for somebody else to the redirected ports */
    enum non_http_mode non_http;
    bool no_name_passed;       /* TLS whose client names no host is not decrypted */
    unsigned int idle_timeout; /* seconds without a byte on a connection */
    uint64_t stream_requests;  /* bytes; larger request bodies are passed on in pieces */
    struct cidr_list exclude_cidrs;
    struct uid_list exclude_uids;
    struct list enforced_elsewhere; /* names of variables, see foreign_policy.h */
    enum backend_choice backend;
    struct user healthd_user;
    struct http_address http;
    char state_file[PATH_MAX];
    char export_dir[PATH_MAX];
    char export_mount[PATH_MAX]; /* the export directory as applications see it */
    unsigned int workers;        /* mitmdump processes, 0: as many as there are processors */
    bool fast;                   /* mitmdump is forked by the launcher, see speed.py */
    bool writable_scripts;       /* addons that others can write are accepted */
    enum log_level log_level;
    enum log_format log_format;
};

/* Is this family, AF_INET or AF_INET6, guarded by rules of the filter table? */
static inline bool config_has_guard(const struct config *config, int family)
{
    return family == AF_INET || config->ipv6 != IPV6_OFF;
}

/* Does the list name this port by itself, and not only as one of a range? */
static inline bool port_is_named(const struct port_list *list, uint16_t port)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->ranges[i].first == port && list->ranges[i].last == port)
            return true;
    return false;
}

#endif
