#include "setup/iptables_check.h"

#include <errno.h>
#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/privileges.h"
#include "setup/iptables_text.h"

/* The extensions that rules of the kinds in rules.h need, with the revisions that
 * iptables_entry.c encodes. */
struct extension {
    const char *name;
    bool is_target;
    uint8_t revision;
};

static const struct extension nat_extensions[] = {
    {"owner", false, 1}, {"multiport", false, 1}, {"REDIRECT", true, 0}, {NULL, false, 0}};
static const struct extension filter_extensions[] = {
    {"owner", false, 1}, {"multiport", false, 1}, {"REJECT", true, 0}, {NULL, false, 0}};

/* Opens the kind of socket that libiptc uses. */
static int open_socket(int family, struct error *error)
{
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd >= 0)
        return fd;
    if (errno == EPERM)
        return error_set(error, EX_NOPERM, "iptables: needs CAP_NET_RAW");
    return error_set(error, EX_UNAVAILABLE, "iptables: raw socket: %s", strerror(errno));
}

static int check_table(int fd, const struct rule_list *list, struct error *error)
{
    struct ipt_getinfo info = {0};
    socklen_t size = sizeof(info);
    int level = list->family == AF_INET ? SOL_IP : SOL_IPV6;
    int option = list->family == AF_INET ? IPT_SO_GET_INFO : IP6T_SO_GET_INFO;
    strlcpy(info.name, table_name(list->table), sizeof(info.name));
    if (getsockopt(fd, level, option, &info, &size) == 0)
        return 0;
    if (errno == EPERM)
        return error_set(error, EX_NOPERM, "iptables: needs CAP_NET_ADMIN");
    return error_set(error, EX_UNAVAILABLE, "iptables: no legacy table %s for IPv%c: %s", info.name,
                     list->family == AF_INET ? '4' : '6', strerror(errno));
}

/* The kernel's own question for iptables: have you this extension in this revision? It answers with
 * ENOENT, or EPROTONOSUPPORT for another revision. */
static int check_extension(int fd, int family, const struct extension *extension,
                           struct error *error)
{
    struct xt_get_revision question = {.revision = extension->revision};
    socklen_t size = sizeof(question);
    int level = family == AF_INET ? SOL_IP : SOL_IPV6;
    int match = family == AF_INET ? IPT_SO_GET_REVISION_MATCH : IP6T_SO_GET_REVISION_MATCH;
    int target = family == AF_INET ? IPT_SO_GET_REVISION_TARGET : IP6T_SO_GET_REVISION_TARGET;
    strlcpy(question.name, extension->name, sizeof(question.name));
    if (getsockopt(fd, level, extension->is_target ? target : match, &question, &size) == 0)
        return 0;
    return error_set(error, EX_UNAVAILABLE, "iptables: no extension %s for IPv%c: %s",
                     extension->name, family == AF_INET ? '4' : '6', strerror(errno));
}

static int check_list(const struct rule_list *list, struct error *error)
{
    int fd = open_socket(list->family, error);
    if (fd < 0)
        return -1;
    int result = check_table(fd, list, error);
    const struct extension *extension =
        list->table == TABLE_NAT ? nat_extensions : filter_extensions;
    for (; result == 0 && extension->name != NULL; extension++)
        result = check_extension(fd, list->family, extension, error);
    close(fd);
    return result;
}

int iptables_check(const struct ruleset *set, struct error *error)
{
    if (!capability_held(CAP_NET_ADMIN))
        return error_set(error, EX_NOPERM, "iptables: needs CAP_NET_ADMIN%s",
                         capability_held(CAP_NET_RAW) ? "" : " and CAP_NET_RAW");
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        const struct rule_list *list = &set->lists[i];
        if (list->count > 0 && rules_are_required(set, list) && check_list(list, error) != 0)
            return -1;
    }
    return 0;
}

/* Opening a table makes it, with its hooks, in this namespace. The kernel lists those that are
 * there. */
static bool table_exists(const struct rule_list *list)
{
    char line[64];
    bool found = false;
    FILE *names = fopen(
        list->family == AF_INET ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names", "re");
    if (names == NULL)
        return errno != ENOENT;
    while (!found && fgets(line, sizeof(line), names) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strcmp(line, table_name(list->table)) == 0;
    }
    fclose(names);
    return found;
}

/* ipt_get_entries and ip6t_get_entries have the same layout. */
static bool entries_name_our_chain(int fd, const struct rule_list *list, unsigned int size)
{
    int level = list->family == AF_INET ? SOL_IP : SOL_IPV6;
    int option = list->family == AF_INET ? IPT_SO_GET_ENTRIES : IP6T_SO_GET_ENTRIES;
    socklen_t length = (socklen_t)(sizeof(struct ipt_get_entries) + size);
    struct ipt_get_entries *entries = calloc(1, length);
    if (entries == NULL)
        return true;
    strlcpy(entries->name, table_name(list->table), sizeof(entries->name));
    entries->size = size;
    bool found = getsockopt(fd, level, option, entries, &length) != 0 ||
                 memmem(entries->entrytable, size, IPTABLES_CHAIN, sizeof(IPTABLES_CHAIN)) != NULL;
    free(entries);
    return found;
}

bool iptables_table_holds_ours(const struct rule_list *list)
{
    struct ipt_getinfo info = {0};
    socklen_t size = sizeof(info);
    int level = list->family == AF_INET ? SOL_IP : SOL_IPV6;
    int option = list->family == AF_INET ? IPT_SO_GET_INFO : IP6T_SO_GET_INFO;
    if (!table_exists(list))
        return false;
    int fd = socket(list->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno != EAFNOSUPPORT;
    strlcpy(info.name, table_name(list->table), sizeof(info.name));
    bool found = getsockopt(fd, level, option, &info, &size) == 0
                     ? entries_name_our_chain(fd, list, info.size)
                     : errno != ENOENT && errno != ENOPROTOOPT;
    close(fd);
    return found;
}

void iptables_trim(struct ruleset *set)
{
    struct error missing;
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        struct rule_list *list = &set->lists[i];
        if (list->count == 0 || rules_are_required(set, list) || check_list(list, &missing) == 0)
            continue;
        log_info("no IPv6 here, and no rules for it: %s", missing.text);
        list->count = 0;
    }
}
