#include "common/config/parsers.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config/config.h"
#include "common/config/reserved_options.h"

static bool is_one_of(const char *value, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcasecmp(value, *words) == 0)
            return true;
    return false;
}

const char *parse_switch(const char *value, void *field)
{
    static const char *const on[] = {"1", "true", "yes", "y", "on", NULL};
    static const char *const off[] = {"0", "false", "no", "n", "off", NULL};
    bool is_on = is_one_of(value, on);
    if (!is_on && !is_one_of(value, off))
        return "not a switch";
    *(bool *)field = is_on;
    return NULL;
}

/* strtonum alone would take "+1" and " 1" too. */
static const char *parse_number(const char *value, unsigned int max, unsigned int *number)
{
    const char *reason = NULL;
    if (value[strspn(value, "0123456789")] != '\0')
        return "not a number";
    *number = (unsigned int)strtonum(value, 1, max, &reason);
    return reason == NULL ? NULL : "out of range";
}

const char *parse_port(const char *value, void *field)
{
    unsigned int port = 0;
    const char *reason = parse_number(value, 65535, &port);
    *(uint16_t *)field = (uint16_t)port;
    return reason;
}

const char *parse_seconds(const char *value, void *field)
{
    return parse_number(value, SECONDS_MAX, field);
}

const char *parse_workers(const char *value, void *field)
{
    *(unsigned int *)field = 0;
    return strcasecmp(value, "auto") == 0 ? NULL : parse_number(value, WORKERS_MAX, field);
}

const char *parse_path(const char *value, void *field)
{
    if (value[0] != '/')
        return "not an absolute path";
    if (strlcpy(field, value, PATH_MAX) >= PATH_MAX)
        return "too long";
    return NULL;
}

const char *parse_file(const char *value, void *field)
{
    const char *last = strrchr(value, '/');
    if (last == NULL || last[1] == '\0' || strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
        return "not the path of a file";
    if (last == value)
        return "a file in the root directory";
    return parse_path(value, field);
}

const char *parse_program(const char *value, void *field)
{
    if (strchr(value, '/') != NULL)
        return parse_path(value, field);
    return strlcpy(field, value, PATH_MAX) < PATH_MAX ? NULL : "too long";
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

/* Skips empty items, so that a separator at the end does no harm. */
static const char *split(const char *value, const char *separator, struct list *list)
{
    list->count = 0;
    if (strlcpy(list->text, value, sizeof(list->text)) >= sizeof(list->text))
        return "too long";
    char *rest = list->text;
    for (char *item = strsep(&rest, separator); item != NULL; item = strsep(&rest, separator)) {
        item = trim(item);
        if (*item == '\0')
            continue;
        if (list->count == CONFIG_LIST_MAX) {
            list->count = 0;
            return "too many items";
        }
        list->items[list->count++] = item;
    }
    return NULL;
}

const char *parse_word_list(const char *value, void *field)
{
    return split(value, ",", field);
}

const char *parse_path_list(const char *value, void *field)
{
    struct list *list = field;
    const char *reason = split(value, ",", list);
    for (size_t i = 0; reason == NULL && i < list->count; i++)
        if (list->items[i][0] != '/')
            reason = "not an absolute path";
    if (reason != NULL)
        list->count = 0;
    return reason;
}

const char *parse_regex_list(const char *value, void *field)
{
    return split(value, ";", field);
}

const char *parse_set_list(const char *value, void *field)
{
    struct list *list = field;
    const char *reason = split(value, ";", list);
    for (size_t i = 0; reason == NULL && i < list->count; i++) {
        size_t length = strspn(list->items[i], "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (length == 0 || list->items[i][length] != '=')
            reason = "not of the form name=value";
        else
            reason = option_why_reserved(list->items[i], length);
    }
    if (reason != NULL)
        list->count = 0;
    return reason;
}

const char *parse_user(const char *value, void *field)
{
    const char *reason = NULL;
    if (user_parse(value, field, &reason) != 0)
        memset(field, 0, sizeof(struct user));
    return reason;
}

static const char *parse_host(char *host, struct http_address *address)
{
    size_t length = strlen(host);
    if (length == 0) {
        address->family = AF_UNSPEC;
        return NULL;
    }
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        address->family = AF_INET6;
        return inet_pton(AF_INET6, host + 1, &address->host.v6) == 1 ? NULL : "no IPv6 address";
    }
    address->family = AF_INET;
    return inet_pton(AF_INET, host, &address->host.v4) == 1 ? NULL : "no IP address";
}

const char *parse_address(const char *value, void *field)
{
    struct http_address *address = field;
    char host[64];
    const char *colon = strrchr(value, ':');
    if (colon == NULL)
        return "no port";
    if ((size_t)(colon - value) >= sizeof(host))
        return "too long";
    memcpy(host, value, (size_t)(colon - value));
    host[colon - value] = '\0';
    const char *reason = parse_host(host, address);
    if (reason == NULL)
        reason = parse_port(colon + 1, &address->port);
    if (reason != NULL)
        memset(address, 0, sizeof(*address));
    return reason;
}

/* The index of value in a list of words that ends with NULL, or -1. */
static int word_index(const char *value, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcasecmp(value, words[i]) == 0)
            return i;
    return -1;
}

const char *parse_level(const char *value, void *field)
{
    static const char *const words[] = {"debug", "info", "warn", "error", NULL};
    int index = word_index(value, words);
    if (index < 0)
        return "unknown word";
    *(enum log_level *)field = (enum log_level)index;
    return NULL;
}

const char *parse_format(const char *value, void *field)
{
    static const char *const words[] = {"text", "json", NULL};
    int index = word_index(value, words);
    if (index < 0)
        return "unknown word";
    *(enum log_format *)field = (enum log_format)index;
    return NULL;
}

const char *parse_ipv6(const char *value, void *field)
{
    static const char *const words[] = {"redirect", "reject", "off", NULL};
    int index = word_index(value, words);
    if (index < 0)
        return "unknown word";
    *(enum ipv6_mode *)field = (enum ipv6_mode)index;
    return NULL;
}

/* Of two words, true for the second. */
static const char *parse_either(const char *value, const char *const words[], bool *field)
{
    int index = word_index(value, words);
    if (index < 0)
        return "unknown word";
    *field = index == 1;
    return NULL;
}

const char *parse_permission(const char *value, void *field)
{
    static const char *const words[] = {"reject", "allow", NULL};
    return parse_either(value, words, field);
}

const char *parse_non_http(const char *value, void *field)
{
    static const char *const words[] = {"reject", "log", "allow", NULL};
    int index = word_index(value, words);
    if (index < 0)
        return "unknown word";
    *(enum non_http_mode *)field = (enum non_http_mode)index;
    return NULL;
}

const char *parse_no_name(const char *value, void *field)
{
    static const char *const words[] = {"verify", "passthrough", NULL};
    return parse_either(value, words, field);
}

const char *parse_size(const char *value, void *field)
{
    char number[24];
    const char *reason = NULL;
    size_t length = strspn(value, "0123456789");
    const char *unit = value + length;
    int shift = strcasecmp(unit, "m") == 0 ? 20 : strcasecmp(unit, "k") == 0 ? 10 : 0;
    if (length == 0 || (shift == 0 && *unit != '\0'))
        return "not a size";
    if (length >= sizeof(number))
        return "out of range";
    memcpy(number, value, length);
    number[length] = '\0';
    long long size = strtonum(number, 0, STREAM_REQUESTS_MAX >> shift, &reason);
    if (reason != NULL)
        return "out of range";
    *(uint64_t *)field = (uint64_t)size << shift;
    return NULL;
}

const char *parse_backend(const char *value, void *field)
{
    static const char *const words[] = {"auto", "iptables", "nft", NULL};
    int index = word_index(value, words);
    if (index < 0)
        return "unknown word";
    *(enum backend_choice *)field = (enum backend_choice)index;
    return NULL;
}
