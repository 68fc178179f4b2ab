#include "setup/iptables/check.h"

#include <errno.h>
#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/privileges.h"
#include "setup/iptables/layout.h"
#include "setup/iptables/text.h"

/* The extensions that rules of the kinds in rules.h need, as entry.c encodes them. */
struct extension {
    const char *name;
    bool is_target;
    uint8_t revision;
};

static const struct extension nat_extensions[] = {
    {"addrtype", false, ADDRTYPE_REVISION},
    {"owner", false, OWNER_REVISION},
    {"multiport", false, MULTIPORT_REVISION},
    {"REDIRECT", true, REDIRECT_REVISION},
    {NULL, false, 0},
};
static const struct extension filter_extensions[] = {
    {"addrtype", false, ADDRTYPE_REVISION}, {"owner", false, OWNER_REVISION},
    {"tcp", false, TCP_REVISION},           {"multiport", false, MULTIPORT_REVISION},
    {"REJECT", true, REJECT_REVISION},      {NULL, false, 0},
};
static const struct extension conntrack_extension = {"conntrack", false, CONNTRACK_REVISION};

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

/* ipt_getinfo and ip6t_getinfo have the same layout. 0, or -1 with errno. */
static int get_info(int fd, const struct rule_list *list, struct ipt_getinfo *info)
{
    socklen_t size = sizeof(*info);
    int level = list->family == AF_INET ? SOL_IP : SOL_IPV6;
    int option = list->family == AF_INET ? IPT_SO_GET_INFO : IP6T_SO_GET_INFO;
    memset(info, 0, sizeof(*info));
    strlcpy(info->name, table_name(list->table), sizeof(info->name));
    return getsockopt(fd, level, option, info, &size);
}

static int check_table(int fd, const struct rule_list *list, struct error *error)
{
    struct ipt_getinfo info;
    if (get_info(fd, list, &info) == 0)
        return 0;
    if (errno == EPERM)
        return error_set(error, EX_NOPERM, "iptables: needs CAP_NET_ADMIN");
    return error_set(error, EX_UNAVAILABLE, "iptables: no legacy table %s for IPv%c: %s", info.name,
                     list->family == AF_INET ? '4' : '6', strerror(errno));
}

/* Asks the kernel, as iptables does, for this revision of the extension. ENOENT: there is no such
 * extension; EPROTONOSUPPORT: only in another revision. */
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

/* Sockets for these questions, one per family, opened when they are needed. */
struct sockets {
    int v4, v6;
};

static void close_sockets(const struct sockets *sockets)
{
    if (sockets->v4 >= 0)
        close(sockets->v4);
    if (sockets->v6 >= 0)
        close(sockets->v6);
}

static int check_list(struct sockets *sockets, const struct rule_list *list, struct error *error)
{
    int *fd = list->family == AF_INET ? &sockets->v4 : &sockets->v6;
    if (*fd < 0)
        *fd = open_socket(list->family, error);
    if (*fd < 0 || check_table(*fd, list, error) != 0)
        return -1;
    const struct extension *extension =
        list->table == TABLE_NAT ? nat_extensions : filter_extensions;
    for (; extension->name != NULL; extension++)
        if (check_extension(*fd, list->family, extension, error) != 0)
            return -1;
    for (size_t i = 0; i < list->count; i++)
        if (list->rules[i].direction != DIRECTION_ANY)
            return check_extension(*fd, list->family, &conntrack_extension, error);
    return 0;
}

int iptables_check(const struct ruleset *set, struct error *error)
{
    struct sockets sockets = {-1, -1};
    int result = 0;
    if (!capability_held(CAP_NET_ADMIN))
        return error_set(error, EX_NOPERM, "iptables: needs CAP_NET_ADMIN%s",
                         capability_held(CAP_NET_RAW) ? "" : " and CAP_NET_RAW");
    for (size_t i = 0; i < LISTS_COUNT && result == 0; i++) {
        const struct rule_list *list = &set->lists[i];
        if (list->count > 0 && rules_are_required(set, list))
            result = check_list(&sockets, list, error);
    }
    close_sockets(&sockets);
    return result;
}

/* Opening a table would create it, with its hooks, in this namespace, so this reads the kernel's
 * list of tables. */
static bool table_exists(const struct rule_list *list)
{
    char line[64];
    bool found = false;
    FILE *names = fopen(
        list->family == AF_INET ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names", "re");
    /* Without /proc/net nothing is known. In doubt, true. */
    if (names == NULL)
        return errno != ENOENT || access("/proc/net", F_OK) != 0;
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
    const char *chain = iptables_chain(list);
    socklen_t length = (socklen_t)(sizeof(struct ipt_get_entries) + size);
    struct ipt_get_entries *entries = calloc(1, length);
    if (entries == NULL)
        return true;
    strlcpy(entries->name, table_name(list->table), sizeof(entries->name));
    entries->size = size;
    bool found = getsockopt(fd, level, option, entries, &length) != 0 ||
                 memmem(entries->entrytable, size, chain, strlen(chain) + 1) != NULL;
    free(entries);
    return found;
}

bool iptables_table_holds_ours(const struct rule_list *list)
{
    struct ipt_getinfo info;
    if (!table_exists(list))
        return false;
    int fd = socket(list->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno != EAFNOSUPPORT;
    bool found = get_info(fd, list, &info) == 0 ? entries_name_our_chain(fd, list, info.size)
                                                : errno != ENOENT && errno != ENOPROTOOPT;
    close(fd);
    return found;
}

void iptables_trim(struct ruleset *set)
{
    struct sockets sockets = {-1, -1};
    struct error missing;
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        struct rule_list *list = &set->lists[i];
        if (list->count == 0 || rules_are_required(set, list) ||
            check_list(&sockets, list, &missing) == 0)
            continue;
        log_info("no IPv6 here, and no rules for it: %s", missing.text);
        list->count = 0;
    }
    close_sockets(&sockets);
}
