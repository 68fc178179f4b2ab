#include "setup/iptables.h"

#include <errno.h>
#include <libiptc/libiptc.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/privileges.h"
#include "setup/iptables_entry.h"
#include "setup/xtables_lock.h"

/* libiptc takes labels by their full width. */
static const xt_chainlabel our_chain = RULE_CHAIN;
static const xt_chainlabel output = "OUTPUT";
static const char table[] = "nat";

/* How often a commit is tried again that another program's change made void. */
enum { ATTEMPTS = 20 };

struct iptables_snapshot {
    bool has_chain;
    bool has_jump;
    size_t count;
    union entry *entries; /* each copied whole */
};

static int table_error(const char *what, struct error *error)
{
    int reason = errno;
    if (reason == EPERM)
        return error_set(
            error, EX_NOPERM, "iptables: table %s: %s: needs %s", table, what,
            capability_name(capability_held(CAP_NET_ADMIN) ? CAP_NET_RAW : CAP_NET_ADMIN));
    return error_set(error, EX_UNAVAILABLE, "iptables: table %s, chain %s: %s: %s", table,
                     our_chain, what, iptc_strerror(reason));
}

static bool table_is_absent(int reason)
{
    return reason == ENOENT || reason == ENOPROTOOPT;
}

/* Is every rule of the chain that of the list, in the same order? */
static bool chain_matches(struct xtc_handle *handle, const struct rule_list *list)
{
    size_t i = 0;
    if (!iptc_is_chain(our_chain, handle))
        return false;
    for (const struct ipt_entry *entry = iptc_first_rule(our_chain, handle); entry != NULL;
         entry = iptc_next_rule(entry, handle), i++) {
        struct rule rule;
        if (i == list->count || !entry_decode(entry, iptc_get_target(entry, handle), &rule) ||
            !rule_equal(&rule, &list->rules[i]))
            return false;
    }
    return i == list->count;
}

static bool is_jump(struct xtc_handle *handle, const struct ipt_entry *entry)
{
    return strcmp(iptc_get_target(entry, handle), our_chain) == 0;
}

static bool is_plain_jump(struct xtc_handle *handle, const struct ipt_entry *entry)
{
    union entry plain;
    entry_encode_jump(our_chain, &plain);
    return is_jump(handle, entry) && memcmp(&entry->ip, &plain.v4.ip, sizeof(entry->ip)) == 0 &&
           entry->target_offset == plain.v4.target_offset;
}

/* One unconditional jump, at position 1, and no other. */
static bool jump_matches(struct xtc_handle *handle)
{
    int position = 0, jumps = 0;
    bool first = false;
    for (const struct ipt_entry *entry = iptc_first_rule(output, handle); entry != NULL;
         entry = iptc_next_rule(entry, handle), position++) {
        if (!is_jump(handle, entry))
            continue;
        jumps++;
        first = first || (position == 0 && is_plain_jump(handle, entry));
    }
    return first && jumps == 1;
}

static int remove_jumps(struct xtc_handle *handle, bool *had_one)
{
    unsigned int position = 0;
    const struct ipt_entry *entry = iptc_first_rule(output, handle);
    while (entry != NULL) {
        if (!is_jump(handle, entry)) {
            entry = iptc_next_rule(entry, handle);
            position++;
            continue;
        }
        *had_one = true;
        if (!iptc_delete_num_entry(output, position, handle))
            return -1;
        /* The iterator is void now. */
        entry = iptc_first_rule(output, handle);
        for (unsigned int i = 0; i < position && entry != NULL; i++)
            entry = iptc_next_rule(entry, handle);
    }
    return 0;
}

static int insert_jump(struct xtc_handle *handle)
{
    union entry jump;
    entry_encode_jump(our_chain, &jump);
    return iptc_insert_entry(output, &jump.v4, 0, handle) ? 0 : -1;
}

static int empty_chain(struct xtc_handle *handle)
{
    bool done = iptc_is_chain(our_chain, handle) ? iptc_flush_entries(our_chain, handle)
                                                 : iptc_create_chain(our_chain, handle);
    return done ? 0 : -1;
}

static int write_rules(struct xtc_handle *handle, const struct rule_list *list)
{
    bool had_one = false;
    if (empty_chain(handle) != 0)
        return -1;
    for (size_t i = 0; i < list->count; i++) {
        union entry entry;
        entry_encode(&list->rules[i], &entry);
        if (!iptc_append_entry(our_chain, &entry.v4, handle))
            return -1;
    }
    if (jump_matches(handle))
        return 0;
    return remove_jumps(handle, &had_one) == 0 ? insert_jump(handle) : -1;
}

/* A copy of an entry which can be appended again: libiptc wants the target by its name. */
static bool copy_entry(struct xtc_handle *handle, const struct ipt_entry *entry, union entry *copy)
{
    if (entry->next_offset > sizeof(copy->bytes))
        return false;
    memcpy(copy->bytes, entry, entry->next_offset);
    struct xt_entry_target *target = (void *)(copy->bytes + copy->v4.target_offset);
    strlcpy(target->u.user.name, iptc_get_target(entry, handle), sizeof(target->u.user.name));
    return true;
}

static struct iptables_snapshot *take_snapshot(struct xtc_handle *handle)
{
    struct iptables_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return NULL;
    snapshot->entries = calloc(RULES_MAX, sizeof(*snapshot->entries));
    if (snapshot->entries == NULL) {
        free(snapshot);
        return NULL;
    }
    for (const struct ipt_entry *entry = iptc_first_rule(output, handle); entry != NULL;
         entry = iptc_next_rule(entry, handle))
        snapshot->has_jump = snapshot->has_jump || is_jump(handle, entry);
    snapshot->has_chain = iptc_is_chain(our_chain, handle);
    if (!snapshot->has_chain)
        return snapshot;
    for (const struct ipt_entry *entry = iptc_first_rule(our_chain, handle);
         entry != NULL && snapshot->count < RULES_MAX; entry = iptc_next_rule(entry, handle))
        if (copy_entry(handle, entry, &snapshot->entries[snapshot->count]))
            snapshot->count++;
    return snapshot;
}

static int delete_ours(struct xtc_handle *handle, bool *had_one)
{
    if (remove_jumps(handle, had_one) != 0)
        return -1;
    if (!iptc_is_chain(our_chain, handle))
        return 0;
    *had_one = true;
    return iptc_flush_entries(our_chain, handle) && iptc_delete_chain(our_chain, handle) ? 0 : -1;
}

static int write_snapshot(struct xtc_handle *handle, const struct iptables_snapshot *snapshot)
{
    bool had_one = false;
    if (!snapshot->has_chain)
        return delete_ours(handle, &had_one);
    if (empty_chain(handle) != 0 || remove_jumps(handle, &had_one) != 0)
        return -1;
    for (size_t i = 0; i < snapshot->count; i++)
        if (!iptc_append_entry(our_chain, &snapshot->entries[i].v4, handle))
            return -1;
    return snapshot->has_jump ? insert_jump(handle) : 0;
}

/* What is wanted of the table: rules, an earlier content, or nothing. */
struct wish {
    const struct rule_list *list;
    const struct iptables_snapshot *earlier;
    struct iptables_snapshot **snapshot; /* taken before the first change */
    bool changed;
};

static bool is_fulfilled(struct xtc_handle *handle, const struct wish *wish)
{
    if (wish->list != NULL)
        return chain_matches(handle, wish->list) && jump_matches(handle);
    if (wish->earlier != NULL && wish->earlier->has_chain)
        return wish->changed;
    return !iptc_is_chain(our_chain, handle);
}

static int write_wish(struct xtc_handle *handle, struct wish *wish)
{
    bool had_one = false;
    if (wish->list != NULL)
        return write_rules(handle, wish->list);
    if (wish->earlier != NULL)
        return write_snapshot(handle, wish->earlier);
    return delete_ours(handle, &had_one);
}

enum outcome { DONE, AGAIN, BROKEN };

/* One look at the table, and one commit if it is not as wished. The commit's own verdict is not the
 * last word: under contention it reports EINVAL for a replacement that worked, and success for one
 * that another program has overwritten since. The next look tells. */
static enum outcome attempt(struct wish *wish, struct error *error)
{
    enum outcome outcome = BROKEN;
    struct xtc_handle *handle = iptc_init(table);
    if (handle == NULL) {
        int reason = errno;
        table_error("open", error);
        if (reason == EAGAIN)
            return AGAIN;
        return wish->list == NULL && table_is_absent(reason) ? DONE : BROKEN;
    }
    if (is_fulfilled(handle, wish)) {
        outcome = DONE;
        goto out;
    }
    if (wish->snapshot != NULL && *wish->snapshot == NULL)
        *wish->snapshot = take_snapshot(handle);
    if (write_wish(handle, wish) != 0) {
        table_error("build", error);
        goto out;
    }
    if (iptc_commit(handle)) {
        wish->changed = true;
        outcome = AGAIN;
        goto out;
    }
    outcome = errno == EAGAIN || errno == EINVAL ? AGAIN : BROKEN;
    table_error("commit", error);
out:
    iptc_free(handle);
    return outcome;
}

static int fulfil(struct wish *wish, struct error *error)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    enum outcome outcome = AGAIN;
    int lock = xtables_lock(error);
    if (lock == -1)
        return -1;
    error_set(error, EX_UNAVAILABLE, "iptables: table %s: other programs change it all the time",
              table);
    for (int i = 0; i < ATTEMPTS && outcome == AGAIN; i++) {
        outcome = attempt(wish, error);
        if (outcome == AGAIN && !wish->changed)
            nanosleep(&pause, NULL);
    }
    if (lock >= 0)
        close(lock);
    return outcome == DONE ? 0 : -1;
}

int iptables_apply(const struct rule_list *list, bool *changed, struct iptables_snapshot **snapshot,
                   struct error *error)
{
    struct wish wish = {.list = list, .snapshot = snapshot};
    int result = fulfil(&wish, error);
    *changed = wish.changed;
    return result;
}

int iptables_restore(const struct iptables_snapshot *snapshot, struct error *error)
{
    struct wish wish = {.earlier = snapshot};
    return fulfil(&wish, error);
}

void iptables_snapshot_free(struct iptables_snapshot *snapshot)
{
    if (snapshot != NULL)
        free(snapshot->entries);
    free(snapshot);
}

int iptables_clear(bool *changed, struct error *error)
{
    struct wish wish = {0};
    int result = fulfil(&wish, error);
    *changed = wish.changed;
    return result;
}

/* Row by row: what should be there on the left, what is there on the right. */
static int compare_chain(struct xtc_handle *handle, const struct rule_list *list, FILE *out)
{
    int differences = 0;
    size_t i = 0;
    const struct ipt_entry *entry =
        iptc_is_chain(our_chain, handle) ? iptc_first_rule(our_chain, handle) : NULL;
    while (i < list->count || entry != NULL) {
        struct rule live;
        bool known = entry != NULL && entry_decode(entry, iptc_get_target(entry, handle), &live);
        bool same = known && i < list->count && rule_equal(&live, &list->rules[i]);
        if (i < list->count) {
            fputs(same ? "  ok       " : entry == NULL ? "  MISSING  " : "  WANTED   ", out);
            rule_print(out, list->family, &list->rules[i]);
        }
        if (entry != NULL && !same) {
            fputs("  LIVE     ", out);
            if (known)
                rule_print(out, list->family, &live);
            else
                fprintf(out, "-A %s (a rule of another form, target %s)\n", our_chain,
                        iptc_get_target(entry, handle));
        }
        differences += !same;
        entry = entry != NULL ? iptc_next_rule(entry, handle) : NULL;
        i++;
    }
    return differences;
}

int iptables_compare(const struct rule_list *list, FILE *out, struct error *error)
{
    struct xtc_handle *handle = iptc_init(table);
    if (handle == NULL)
        return table_error("open", error);
    bool jump = jump_matches(handle);
    fprintf(out, "  %s -A %s -j %s (at position 1)\n", jump ? "ok      " : "MISSING ", output,
            our_chain);
    int differences = (jump ? 0 : 1) + compare_chain(handle, list, out);
    iptc_free(handle);
    return differences;
}
