#include "common/config/parsers.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config/config.h"

/* The parsers of lists of numbers and of lists of networks. */

/* "8080" or "8000-8999". */
static const char *parse_port_range(char *text, struct port_range *range)
{
    char *dash = strchr(text, '-');
    if (dash != NULL)
        *dash = '\0';
    const char *reason = parse_port(text, &range->first);
    range->last = range->first;
    if (reason == NULL && dash != NULL)
        reason = parse_port(dash + 1, &range->last);
    if (reason == NULL && range->last < range->first)
        reason = "a range that ends before it begins";
    if (reason == NULL && range->first == 1 && range->last == UINT16_MAX)
        reason = "every port";
    return reason;
}

static const char *parse_port_item(char *text, bool may_be_all, struct port_range *range)
{
    if (!may_be_all || strcasecmp(text, "all") != 0)
        return parse_port_range(text, range);
    *range = (struct port_range){1, UINT16_MAX};
    return NULL;
}

static const char *parse_ports(const char *value, bool may_be_all, struct port_list *ports)
{
    struct list list;
    const char *reason = parse_word_list(value, &list);
    ports->count = 0;
    for (size_t i = 0; reason == NULL && i < list.count; i++)
        reason = parse_port_item(list.items[i], may_be_all, &ports->ranges[ports->count++]);
    if (reason != NULL)
        ports->count = 0;
    return reason;
}

const char *parse_port_list(const char *value, void *field)
{
    return parse_ports(value, false, field);
}

const char *parse_ports_or_all(const char *value, void *field)
{
    return parse_ports(value, true, field);
}

static const char *parse_uid(const char *text, uid_t *uid)
{
    const char *reason = NULL;
    if (text[strspn(text, "0123456789")] != '\0')
        return "not a number";
    *uid = (uid_t)strtonum(text, 0, UID_NUMBER_MAX, &reason);
    return reason == NULL ? NULL : "out of range";
}

const char *parse_uid_list(const char *value, void *field)
{
    struct uid_list *uids = field;
    struct list list;
    const char *reason = parse_word_list(value, &list);
    uids->count = 0;
    for (size_t i = 0; reason == NULL && i < list.count; i++)
        reason = parse_uid(list.items[i], &uids->uids[uids->count++]);
    if (reason != NULL)
        uids->count = 0;
    return reason;
}

static bool has_host_bits(const struct cidr *cidr)
{
    int size = cidr->family == AF_INET ? 32 : 128;
    for (int bit = cidr->prefix; bit < size; bit++)
        if ((cidr->address.s6_addr[bit / 8] & (0x80 >> (bit % 8))) != 0)
            return true;
    return false;
}

static const char *parse_cidr(char *text, struct cidr *cidr)
{
    const char *reason = NULL;
    char *slash = strchr(text, '/');
    memset(cidr, 0, sizeof(*cidr));
    if (slash != NULL)
        *slash = '\0';
    cidr->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(cidr->family, text, &cidr->address) != 1)
        return "not an IP address";
    int size = cidr->family == AF_INET ? 32 : 128;
    cidr->prefix = (uint8_t)size;
    if (slash == NULL)
        return NULL;
    if (slash[1] == '\0' || slash[1 + strspn(slash + 1, "0123456789")] != '\0')
        return "not a prefix length";
    cidr->prefix = (uint8_t)strtonum(slash + 1, 0, size, &reason);
    if (reason != NULL)
        return "prefix length out of range";
    if (cidr->prefix == 0)
        return "a prefix length of 0 would exclude everything";
    return has_host_bits(cidr) ? "the address has bits set after its prefix" : NULL;
}

const char *parse_cidr_list(const char *value, void *field)
{
    struct cidr_list *cidrs = field;
    struct list list;
    const char *reason = parse_word_list(value, &list);
    cidrs->count = 0;
    for (size_t i = 0; reason == NULL && i < list.count; i++)
        reason = parse_cidr(list.items[i], &cidrs->networks[cidrs->count++]);
    if (reason != NULL)
        cidrs->count = 0;
    return reason;
}
