#include "setup/iptables/live.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "common/process/privileges.h"
#include "setup/iptables/entry.h"
#include "setup/iptables/text.h"

int live_open(struct live *live, const struct rule_list *list, struct error *error)
{
    live->list = list;
    live->chain = iptables_chain(list);
    live->hook = iptables_hook(list);
    live->xtc = xtc_of(list->family);
    live->handle = live->xtc->init(table_name(list->table));
    if (live->handle != NULL)
        return 0;
    int reason = errno;
    live_error(live, "open", error);
    errno = reason;
    return -1;
}

void live_close(struct live *live)
{
    live->xtc->free(live->handle);
}

int live_error(const struct live *live, const char *what, struct error *error)
{
    int reason = errno;
    const char *table = table_name(live->list->table);
    if (reason == EPERM)
        return error_set(
            error, EX_NOPERM, "%s: table %s: %s: needs %s", live->xtc->program, table, what,
            capability_name(capability_held(CAP_NET_ADMIN) ? CAP_NET_RAW : CAP_NET_ADMIN));
    return error_set(error, EX_UNAVAILABLE, "%s: table %s, chain %s: %s: %s", live->xtc->program,
                     table, live->chain, what, live->xtc->strerror(reason));
}

bool live_is_absent(int reason)
{
    return reason == ENOENT || reason == ENOPROTOOPT || reason == EAFNOSUPPORT;
}

bool live_has_chain(const struct live *live)
{
    return live->xtc->is_chain(live->chain, live->handle) != 0;
}

bool live_chain_matches(const struct live *live)
{
    const struct xtc *xtc = live->xtc;
    const struct rule_list *list = live->list;
    size_t i = 0;
    if (!live_has_chain(live))
        return false;
    for (const void *entry = xtc->first_rule(live->chain, live->handle); entry != NULL;
         entry = xtc->next_rule(entry, live->handle), i++) {
        struct rule rule;
        if (i == list->count ||
            !entry_decode(list->family, entry, xtc->get_target(entry, live->handle), &rule) ||
            !rule_equal(&rule, &list->rules[i]))
            return false;
    }
    return i == list->count;
}

bool live_is_jump(const struct live *live, const void *entry)
{
    return strcmp(live->xtc->get_target(entry, live->handle), live->chain) == 0;
}

bool live_has_jump(const struct live *live)
{
    for (const void *entry = live->xtc->first_rule(live->hook, live->handle); entry != NULL;
         entry = live->xtc->next_rule(entry, live->handle))
        if (live_is_jump(live, entry))
            return true;
    return false;
}

bool live_jump_matches(const struct live *live)
{
    int position = 0, jumps = 0;
    bool first = false;
    for (const void *entry = live->xtc->first_rule(live->hook, live->handle); entry != NULL;
         entry = live->xtc->next_rule(entry, live->handle), position++) {
        if (!live_is_jump(live, entry))
            continue;
        jumps++;
        first = first || (position == 0 && entry_is_unconditional(live->list->family, entry));
    }
    return first && jumps == 1;
}
