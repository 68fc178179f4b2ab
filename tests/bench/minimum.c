/* The least that a program can do to install the same rules: for each table init, the same entries,
 * commit. No lock, no second look, no proof, no undo, no state. argv[1] is the exempt uid. */
#include <stdio.h>
#include <stdlib.h>

#include "setup/iptables/entry.h"
#include "setup/iptables/text.h"
#include "setup/iptables/xtc.h"
#include "setup/rules/rules.h"

static int append(const struct xtc *xtc, const struct rule_list *list, struct xtc_handle *handle)
{
    union entry entry;
    if (!xtc->create_chain(iptables_chain(list), handle))
        return -1;
    for (size_t i = 0; i < list->count; i++) {
        entry_encode(list->family, &list->rules[i], &entry);
        if (!xtc->append_entry(iptables_chain(list), &entry, handle))
            return -1;
    }
    entry_encode_jump(list->family, iptables_chain(list), &entry);
    return xtc->insert_entry(iptables_hook(list), &entry, 0, handle) ? 0 : -1;
}

static int install(const struct rule_list *list)
{
    const struct xtc *xtc = xtc_of(list->family);
    struct xtc_handle *handle = xtc->init(table_name(list->table));
    if (handle == NULL)
        return -1;
    int result = append(xtc, list, handle) == 0 && xtc->commit(handle) ? 0 : -1;
    xtc->free(handle);
    return result;
}

int main(int argc, char **argv)
{
    static struct config config = {.port = 18081, .http.port = 18080, .ipv6 = IPV6_REDIRECT};
    static struct ruleset set;
    if (argc != 2) {
        fprintf(stderr, "usage: minimum UID, in a network namespace that may be spoilt\n");
        return 64;
    }
    config.user.uid = (uid_t)strtoul(argv[1], NULL, 10);
    rules_build(&config, &set);
    for (size_t i = 0; i < LISTS_COUNT; i++)
        if (install(&set.lists[i]) != 0) {
            perror(table_name(set.lists[i].table));
            return 1;
        }
    return 0;
}
