#include "tests/fuzz/config_fields.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/parsers.h"
#include "tests/fuzz/fuzz.h"

#define CHECK_TEXT(text) CHECK(memchr(text, '\0', sizeof(text)) != NULL)

static void print_flag(const void *field, FILE *out)
{
    fprintf(out, "%s", *(const bool *)field ? "on" : "off");
}

static void print_permission(const void *field, FILE *out)
{
    fprintf(out, "%s", *(const bool *)field ? "allow" : "reject");
}

static void print_port(const void *field, FILE *out)
{
    const uint16_t *port = field;
    CHECK(*port > 0);
    fprintf(out, "%u", *port);
}

static void print_path(const void *field, FILE *out)
{
    const char *path = field;
    CHECK(memchr(path, '\0', PATH_MAX) != NULL);
    CHECK(path[0] == '/');
    fputs(path, out);
}

static void print_file(const void *field, FILE *out)
{
    print_path(field, out);
    const char *last = strrchr(field, '/');
    CHECK(last > (const char *)field);
    CHECK(last[1] != '\0' && strcmp(last, "/.") != 0 && strcmp(last, "/..") != 0);
}

static void print_program(const void *field, FILE *out)
{
    const char *program = field;
    CHECK(memchr(program, '\0', PATH_MAX) != NULL);
    CHECK(program[0] == '/' || strchr(program, '/') == NULL);
    CHECK(program[0] != '\0');
    fputs(program, out);
}

/* In order, apart, within the text, neither empty nor with white space around. */
static void check_list(const struct list *list, char separator)
{
    const char *rest = list->text;
    CHECK(list->count <= CONFIG_LIST_MAX);
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        CHECK(item >= rest && item < list->text + sizeof(list->text));
        size_t length = strnlen(item, (size_t)(list->text + sizeof(list->text) - item));
        CHECK(length > 0 && item + length < list->text + sizeof(list->text));
        CHECK(!isspace((unsigned char)item[0]) && !isspace((unsigned char)item[length - 1]));
        CHECK(strchr(item, separator) == NULL);
        rest = item + length + 1;
    }
}

static void print_list(const struct list *list, char separator, FILE *out)
{
    check_list(list, separator);
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%.*s%s", i > 0, &separator, list->items[i]);
}

static void print_path_list(const void *field, FILE *out)
{
    const struct list *list = field;
    print_list(list, ',', out);
    for (size_t i = 0; i < list->count; i++)
        CHECK(list->items[i][0] == '/');
}

static void print_word_list(const void *field, FILE *out)
{
    print_list(field, ',', out);
}

static void print_regex_list(const void *field, FILE *out)
{
    print_list(field, ';', out);
}

static void print_set_list(const void *field, FILE *out)
{
    static const char *const reserved[] = {
        "confdir=", "mode=",         "listen_host=", "listen_port=",         "server=", "scripts=",
        "rawtcp=",  "ignore_hosts=", "tcp_hosts=",   "stream_large_bodies=", "egress_"};
    const struct list *list = field;
    print_list(list, ';', out);
    for (size_t i = 0; i < list->count; i++) {
        CHECK(strchr(list->items[i], '=') > list->items[i]);
        for (size_t j = 0; j < sizeof(reserved) / sizeof(reserved[0]); j++)
            CHECK(strncmp(list->items[i], reserved[j], strlen(reserved[j])) != 0);
    }
}

static void print_port_list(const void *field, FILE *out)
{
    const struct port_list *list = field;
    CHECK(list->count <= CONFIG_LIST_MAX);
    for (size_t i = 0; i < list->count; i++) {
        const struct port_range *range = &list->ranges[i];
        CHECK(range->first != 0 && range->first <= range->last);
        if (range->first == 1 && range->last == UINT16_MAX)
            fprintf(out, "%sall", i > 0 ? ", " : "");
        else
            fprintf(out, "%s%u-%u", i > 0 ? ", " : "", range->first, range->last);
    }
}

static void print_uid_list(const void *field, FILE *out)
{
    const struct uid_list *list = field;
    CHECK(list->count <= CONFIG_LIST_MAX);
    for (size_t i = 0; i < list->count; i++) {
        CHECK(list->uids[i] != (uid_t)-1);
        fprintf(out, "%s%u", i > 0 ? "," : "", list->uids[i]);
    }
}

static void print_cidr_list(const void *field, FILE *out)
{
    const struct cidr_list *list = field;
    CHECK(list->count <= CONFIG_LIST_MAX);
    for (size_t i = 0; i < list->count; i++) {
        const struct cidr *cidr = &list->networks[i];
        char text[INET6_ADDRSTRLEN];
        int size = cidr->family == AF_INET ? 32 : 128;
        CHECK(cidr->family == AF_INET || cidr->family == AF_INET6);
        CHECK(cidr->prefix >= 1 && cidr->prefix <= size);
        /* All bits behind the prefix, and behind an IPv4 address, are zero. */
        for (int bit = cidr->prefix; bit < 128; bit++)
            CHECK((cidr->address.s6_addr[bit / 8] & 1 << (7 - bit % 8)) == 0);
        CHECK(inet_ntop(cidr->family, &cidr->address, text, sizeof(text)) != NULL);
        fprintf(out, "%s%s/%u", i > 0 ? "," : "", text, cidr->prefix);
    }
}

static void print_user(const void *field, FILE *out)
{
    const struct user *user = field;
    CHECK_TEXT(user->name);
    CHECK_TEXT(user->home);
    CHECK(user->home[0] == '\0' || user->home[0] == '/');
    CHECK(user->known || (user->uid == 0 && user->gid == 0 && user->home[0] == '\0'));
    CHECK(user->uid != (uid_t)-1 && user->gid != (gid_t)-1);
    if (isdigit((unsigned char)user->name[0])) {
        CHECK(user->known);
        CHECK(user->name[strspn(user->name, "0123456789:")] == '\0');
        CHECK(strtoull(user->name, NULL, 10) == user->uid);
        const char *colon = strchr(user->name, ':');
        CHECK(colon == NULL || strtoull(colon + 1, NULL, 10) == user->gid);
    }
    fputs(user->name, out);
}

static void print_address(const void *field, FILE *out)
{
    const struct http_address *address = field;
    char text[INET6_ADDRSTRLEN] = "";
    CHECK(address->port > 0);
    CHECK(address->family == AF_UNSPEC || address->family == AF_INET ||
          address->family == AF_INET6);
    if (address->family != AF_UNSPEC)
        CHECK(inet_ntop(address->family, &address->host, text, sizeof(text)) != NULL);
    fprintf(out, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, address->port);
}

static void print_word(const char *const *words, int count, const void *field, FILE *out)
{
    int word = *(const int *)field;
    CHECK(word >= 0 && word < count);
    fputs(words[word], out);
}

static void print_level(const void *field, FILE *out)
{
    print_word((const char *const[]){"debug", "info", "warn", "error"}, 4, field, out);
}

static void print_format(const void *field, FILE *out)
{
    print_word((const char *const[]){"text", "json"}, 2, field, out);
}

static void print_ipv6(const void *field, FILE *out)
{
    print_word((const char *const[]){"redirect", "reject", "off"}, 3, field, out);
}

static void print_non_http(const void *field, FILE *out)
{
    print_word((const char *const[]){"reject", "log", "allow"}, 3, field, out);
}

static void print_no_name(const void *field, FILE *out)
{
    fputs(*(const bool *)field ? "passthrough" : "verify", out);
}

static void print_size(const void *field, FILE *out)
{
    const uint64_t *size = field;
    CHECK(*size <= STREAM_REQUESTS_MAX);
    fprintf(out, "%" PRIu64, *size);
}

static void print_workers(const void *field, FILE *out)
{
    unsigned int workers = *(const unsigned int *)field;
    fprintf(out, workers == 0 ? "auto" : "%u", workers);
}

static void print_seconds(const void *field, FILE *out)
{
    unsigned int seconds = *(const unsigned int *)field;
    CHECK(seconds >= 1 && seconds <= SECONDS_MAX);
    fprintf(out, "%u", seconds);
}

static void print_backend(const void *field, FILE *out)
{
    print_word((const char *const[]){"auto", "iptables", "nft"}, 3, field, out);
}

const struct expected fields[] = {
#define FIELD(member) offsetof(struct config, member)
    {"LOG_LEVEL", parse_level, print_level, FIELD(log_level)},
    {"LOG_FORMAT", parse_format, print_format, FIELD(log_format)},
    {"MITMPROXY_TRANSPARENT", parse_switch, print_flag, FIELD(transparent)},
    {"MITMPROXY_PORT", parse_port, print_port, FIELD(port)},
    {"MITMPROXY_SCRIPT", parse_path_list, print_path_list, FIELD(scripts)},
    {"MITMPROXY_IGNORE_HOSTS", parse_regex_list, print_regex_list, FIELD(ignore_hosts)},
    {"MITMPROXY_CONFDIR", parse_path, print_path, FIELD(confdir)},
    {"MITMPROXY_CA_DIR", parse_path, print_path, FIELD(ca_dir)},
    {"MITMPROXY_UPSTREAM_TRUST_DIR", parse_path, print_path, FIELD(upstream_trust_dir)},
    {"MITMPROXY_SSL_INSECURE", parse_switch, print_flag, FIELD(ssl_insecure)},
    {"MITMPROXY_USER", parse_user, print_user, FIELD(user)},
    {"MITMPROXY_BIN", parse_program, print_program, FIELD(bin)},
    {"MITMPROXY_SCRIPTS_DIR", parse_path, print_path, FIELD(scripts_dir)},
    {"MITMPROXY_WORKERS", parse_workers, print_workers, FIELD(workers)},
    {"MITMPROXY_FAST", parse_switch, print_flag, FIELD(fast)},
    {"MITMPROXY_WRITABLE_SCRIPTS", parse_switch, print_flag, FIELD(writable_scripts)},
    {"MITMPROXY_SET", parse_set_list, print_set_list, FIELD(set)},
    {"MITMPROXY_EXTRA_PORTS", parse_ports_or_all, print_port_list, FIELD(extra_ports)},
    {"MITMPROXY_IPV6", parse_ipv6, print_ipv6, FIELD(ipv6)},
    {"MITMPROXY_QUIC", parse_permission, print_permission, FIELD(quic_allowed)},
    {"MITMPROXY_EXCLUDE_PORTS", parse_port_list, print_port_list, FIELD(exclude_ports)},
    {"OTHER_TRAFFIC", parse_permission, print_permission, FIELD(other_traffic_allowed)},
    {"MITMPROXY_FORWARDED", parse_permission, print_permission, FIELD(forwarded_allowed)},
    {"MITMPROXY_NON_HTTP", parse_non_http, print_non_http, FIELD(non_http)},
    {"MITMPROXY_NO_NAME", parse_no_name, print_no_name, FIELD(no_name_passed)},
    {"MITMPROXY_STREAM_REQUESTS", parse_size, print_size, FIELD(stream_requests)},
    {"MITMPROXY_IDLE_TIMEOUT", parse_seconds, print_seconds, FIELD(idle_timeout)},
    {"MITMPROXY_EXCLUDE_CIDRS", parse_cidr_list, print_cidr_list, FIELD(exclude_cidrs)},
    {"MITMPROXY_EXCLUDE_UIDS", parse_uid_list, print_uid_list, FIELD(exclude_uids)},
    {"REDIRECT_BACKEND", parse_backend, print_backend, FIELD(backend)},
    {"HEALTHD_USER", parse_user, print_user, FIELD(healthd_user)},
    {"HTTP_ADDR", parse_address, print_address, FIELD(http)},
    {"STATE_FILE", parse_file, print_file, FIELD(state_file)},
    {"EXPORT_DIR", parse_path, print_path, FIELD(export_dir)},
    {"EXPORT_MOUNT", parse_path, print_path, FIELD(export_mount)},
    {"ENFORCED_ELSEWHERE", parse_word_list, print_word_list, FIELD(enforced_elsewhere)},
#undef FIELD
};
_Static_assert(sizeof(fields) / sizeof(fields[0]) == VARIABLES, "VARIABLES is another number");

const struct expected *field_find(const char *name, size_t length)
{
    for (size_t i = 0; i < VARIABLES; i++)
        if (strlen(fields[i].name) == length && memcmp(fields[i].name, name, length) == 0)
            return &fields[i];
    return NULL;
}
