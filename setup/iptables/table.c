#include "setup/iptables/table.h"

#include <errno.h>
#include <time.h>

#include "setup/iptables/check.h"
#include "setup/iptables/content.h"
#include "setup/iptables/entry.h"
#include "setup/iptables/live.h"
#include "setup/iptables/text.h"

/* How often a commit is tried if changes by other programs make it void. */
enum { ATTEMPTS = 20 };

/* What is wanted of the table: rules, an earlier content, or nothing (an empty list). */
struct target {
    const struct rule_list *list;
    const struct table_snapshot *earlier;
    struct table_snapshot *before; /* taken before the first change */
    bool changed;
};

static bool is_reached(const struct target *target, const struct live *live)
{
    if (target->earlier != NULL && content_had_chain(target->earlier))
        return target->changed;
    if (target->earlier == NULL && target->list->count > 0)
        return live_chain_matches(live) && live_jump_matches(live);
    return !live_has_chain(live) && !live_has_jump(live);
}

static int write_target(const struct target *target, const struct live *live)
{
    if (target->earlier != NULL)
        return content_restore(live, target->earlier);
    return target->list->count > 0 ? content_write(live) : content_delete(live);
}

enum outcome { DONE, AGAIN, BROKEN };

/* One commit, whose result is not final: under contention it reports EINVAL for a replacement
 * that worked, and success for one that another program has overwritten. The next attempt looks
 * again. */
static enum outcome change(struct target *target, const struct live *live, struct error *error)
{
    if (target->earlier == NULL && target->before == NULL) {
        target->before = content_save(live);
        if (target->before == NULL) {
            error_set(error, 1, "%s: table %s: cannot copy the rules of chain %s",
                      live->xtc->program, table_name(target->list->table), live->chain);
            return BROKEN;
        }
    }
    if (write_target(target, live) != 0) {
        live_error(live, "build", error);
        return BROKEN;
    }
    if (live->xtc->commit(live->handle)) {
        target->changed = true;
        return AGAIN;
    }
    bool contended = errno == EAGAIN || errno == EINVAL;
    live_error(live, "commit", error);
    return contended ? AGAIN : BROKEN;
}

/* One look at the table, and one commit if it is not as wished. */
static enum outcome attempt(struct target *target, struct error *error)
{
    struct live live;
    if (live_open(&live, target->list, error) != 0) {
        if (errno == EAGAIN)
            return AGAIN;
        return target->list->count == 0 && live_is_absent(errno) ? DONE : BROKEN;
    }
    enum outcome outcome = is_reached(target, &live) ? DONE : change(target, &live, error);
    live_close(&live);
    return outcome;
}

static int reach(struct target *target, struct error *error)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    enum outcome outcome = AGAIN;
    error_set(error, EX_UNAVAILABLE, "iptables: table %s: other programs change it all the time",
              table_name(target->list->table));
    for (int i = 0; i < ATTEMPTS && outcome == AGAIN; i++) {
        outcome = attempt(target, error);
        if (outcome == AGAIN && !target->changed)
            nanosleep(&pause, NULL);
    }
    return outcome == DONE ? 0 : -1;
}

int table_apply(const struct rule_list *list, bool *changed, struct table_snapshot **snapshot,
                struct error *error)
{
    struct target target = {.list = list};
    int result = reach(&target, error);
    *changed = *changed || target.changed;
    *snapshot = target.before;
    return result;
}

int table_restore(const struct rule_list *list, const struct table_snapshot *snapshot,
                  struct error *error)
{
    struct target target = {.list = list, .earlier = snapshot};
    return reach(&target, error);
}

static void print_jumps(const struct live *live, FILE *out)
{
    int position = 1;
    for (const void *entry = live->xtc->first_rule(live->hook, live->handle); entry != NULL;
         entry = live->xtc->next_rule(entry, live->handle), position++)
        if (live_is_jump(live, entry))
            iptables_print_jump(out, live->list, position,
                                entry_is_unconditional(live->list->family, entry));
}

int table_print_live(const struct rule_list *list, FILE *out, struct error *error)
{
    struct live live;
    if (live_open(&live, list, error) != 0)
        return live_is_absent(errno) ? 0 : -1;
    print_jumps(&live, out);
    const void *entry =
        live_has_chain(&live) ? live.xtc->first_rule(live.chain, live.handle) : NULL;
    for (; entry != NULL; entry = live.xtc->next_rule(entry, live.handle)) {
        struct rule rule;
        const char *target = live.xtc->get_target(entry, live.handle);
        if (entry_decode(list->family, entry, target, &rule))
            iptables_print_row(out, list, &rule);
        else
            iptables_print_unknown(out, list, target);
    }
    live_close(&live);
    return 0;
}
