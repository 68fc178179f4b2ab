#include "setup/iptables/content.h"

#include <stdlib.h>

#include "setup/iptables/entry.h"

/* A rule as it was: position counts from 0. */
struct kept {
    unsigned int position;
    void *entry;
};

struct table_snapshot {
    bool has_chain;
    size_t count;
    struct kept *rules; /* first those of our chain, then the jumps to it */
    size_t jumps;       /* how many of them are jumps */
};

static int remove_jumps(const struct live *live)
{
    const struct xtc *xtc = live->xtc;
    unsigned int position = 0;
    const void *entry = xtc->first_rule(live->hook, live->handle);
    while (entry != NULL) {
        if (!live_is_jump(live, entry)) {
            entry = xtc->next_rule(entry, live->handle);
            position++;
            continue;
        }
        if (!xtc->delete_num_entry(live->hook, position, live->handle))
            return -1;
        /* The deletion has made the iterator invalid. */
        entry = xtc->first_rule(live->hook, live->handle);
        for (unsigned int i = 0; i < position && entry != NULL; i++)
            entry = xtc->next_rule(entry, live->handle);
    }
    return 0;
}

static int insert_jump(const struct live *live)
{
    union entry jump;
    entry_encode_jump(live->list->family, live->chain, &jump);
    return live->xtc->insert_entry(live->hook, &jump, 0, live->handle) ? 0 : -1;
}

static int empty_chain(const struct live *live)
{
    bool done = live_has_chain(live) ? live->xtc->flush_entries(live->chain, live->handle)
                                     : live->xtc->create_chain(live->chain, live->handle);
    return done ? 0 : -1;
}

int content_write(const struct live *live)
{
    const struct rule_list *list = live->list;
    if (empty_chain(live) != 0)
        return -1;
    for (size_t i = 0; i < list->count; i++) {
        union entry entry;
        entry_encode(list->family, &list->rules[i], &entry);
        if (!live->xtc->append_entry(live->chain, &entry, live->handle))
            return -1;
    }
    if (live_jump_matches(live))
        return 0;
    return remove_jumps(live) == 0 ? insert_jump(live) : -1;
}

int content_delete(const struct live *live)
{
    const struct xtc *xtc = live->xtc;
    if (remove_jumps(live) != 0)
        return -1;
    if (!live_has_chain(live))
        return 0;
    return xtc->flush_entries(live->chain, live->handle) &&
                   xtc->delete_chain(live->chain, live->handle)
               ? 0
               : -1;
}

static int snapshot_add(struct table_snapshot *snapshot, const struct live *live, const void *entry,
                        unsigned int position)
{
    struct kept *grown =
        reallocarray(snapshot->rules, snapshot->count + 1, sizeof(*snapshot->rules));
    if (grown == NULL)
        return -1;
    snapshot->rules = grown;
    struct kept *kept = &grown[snapshot->count];
    kept->position = position;
    kept->entry =
        entry_clone(live->list->family, entry, live->xtc->get_target(entry, live->handle));
    if (kept->entry == NULL)
        return -1;
    snapshot->count++;
    return 0;
}

/* All rules of a chain, or of the hook those that are jumps to ours. */
static int snapshot_chain(struct table_snapshot *snapshot, const struct live *live,
                          const char *chain)
{
    unsigned int position = 0;
    bool jumps_only = chain == live->hook;
    for (const void *entry = live->xtc->first_rule(chain, live->handle); entry != NULL;
         entry = live->xtc->next_rule(entry, live->handle), position++) {
        if (jumps_only && !live_is_jump(live, entry))
            continue;
        if (snapshot_add(snapshot, live, entry, position) != 0)
            return -1;
        snapshot->jumps += jumps_only;
    }
    return 0;
}

struct table_snapshot *content_save(const struct live *live)
{
    struct table_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return NULL;
    snapshot->has_chain = live_has_chain(live);
    if (!snapshot->has_chain || (snapshot_chain(snapshot, live, live->chain) == 0 &&
                                 snapshot_chain(snapshot, live, live->hook) == 0))
        return snapshot;
    table_snapshot_free(snapshot);
    return NULL;
}

bool content_had_chain(const struct table_snapshot *snapshot)
{
    return snapshot->has_chain;
}

int content_restore(const struct live *live, const struct table_snapshot *earlier)
{
    const struct xtc *xtc = live->xtc;
    if (!earlier->has_chain)
        return content_delete(live);
    if (empty_chain(live) != 0 || remove_jumps(live) != 0)
        return -1;
    for (size_t i = 0; i < earlier->count; i++) {
        const struct kept *kept = &earlier->rules[i];
        const char *chain = i < earlier->count - earlier->jumps ? live->chain : live->hook;
        if (!xtc->insert_entry(chain, kept->entry, kept->position, live->handle))
            return -1;
    }
    return 0;
}

void table_snapshot_free(struct table_snapshot *snapshot)
{
    for (size_t i = 0; snapshot != NULL && i < snapshot->count; i++)
        free(snapshot->rules[i].entry);
    if (snapshot != NULL)
        free(snapshot->rules);
    free(snapshot);
}
