#include "setup/rules/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "setup/iptables/check.h"
#include "setup/iptables/table.h"
#include "setup/iptables/text.h"
#include "setup/iptables/xtables_lock.h"

/* What each table had before, by the index of its list. */
struct iptables_undo {
    struct table_snapshot *tables[LISTS_COUNT];
};

static int restore(const struct ruleset *set, const struct iptables_undo *before,
                   struct error *error)
{
    int result = 0;
    for (size_t i = LISTS_COUNT; i-- > 0;)
        if (before->tables[i] != NULL &&
            table_restore(&set->lists[i], before->tables[i], error) != 0)
            result = -1;
    return result;
}

static int take_back(const struct ruleset *set, const void *undo, struct error *error)
{
    int lock = xtables_lock(error);
    if (lock == -1)
        return -1;
    int result = restore(set, undo, error);
    xtables_unlock(lock);
    return result;
}

static void undo_free(void *undo)
{
    struct iptables_undo *before = undo;
    for (size_t i = 0; before != NULL && i < LISTS_COUNT; i++)
        table_snapshot_free(before->tables[i]);
    free(before);
}

/* Was anything changed at all? */
static bool has_changes(const struct iptables_undo *before)
{
    for (size_t i = 0; i < LISTS_COUNT; i++)
        if (before->tables[i] != NULL)
            return true;
    return false;
}

static int apply_list(const struct rule_list *list, bool *changed, struct table_snapshot **snapshot,
                      struct error *error)
{
    if (list->count == 0 && !iptables_table_holds_ours(list))
        return 0;
    return table_apply(list, changed, snapshot, error);
}

static bool is_absent(void)
{
    for (size_t i = 0; i < LISTS_COUNT; i++)
        if (iptables_table_holds_ours(&no_rules.lists[i]))
            return false;
    return true;
}

/* Applies the lists in the order of the set, so that a failure in between fails closed. The first
 * rules of all come in reverse order: everything is open before them anyway, and the guard without
 * the redirect would refuse running applications that connect in between. */
static int apply_lists(const struct ruleset *set, bool *changed, struct iptables_undo *before,
                       struct error *error)
{
    struct error undo_error;
    bool is_first = is_absent();
    for (size_t n = 0; n < LISTS_COUNT; n++) {
        size_t i = is_first ? LISTS_COUNT - 1 - n : n;
        if (apply_list(&set->lists[i], changed, &before->tables[i], error) == 0)
            continue;
        if (restore(set, before, &undo_error) != 0)
            log_error("cannot put the rules back as they were: %s", undo_error.text);
        return -1;
    }
    return 0;
}

static int apply(const struct ruleset *set, bool *changed, void **undo, struct error *error)
{
    *undo = NULL;
    int lock = xtables_lock(error);
    if (lock == -1)
        return -1;
    int result = -1;
    struct iptables_undo *before = calloc(1, sizeof(*before));
    if (before == NULL)
        error_set(error, 1, "iptables: %s", strerror(errno));
    else
        result = apply_lists(set, changed, before, error);
    if (result == 0 && has_changes(before))
        *undo = before;
    else
        undo_free(before);
    xtables_unlock(lock);
    return result;
}

static void print_wanted(const struct ruleset *set, FILE *out)
{
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        const struct rule_list *list = &set->lists[i];
        if (list->count > 0)
            iptables_print_jump(out, list, 1, true);
        for (size_t j = 0; j < list->count; j++)
            iptables_print_row(out, list, &list->rules[j]);
    }
}

static int print_live(const struct ruleset *set, FILE *out, struct error *error)
{
    for (size_t i = 0; i < LISTS_COUNT; i++)
        if (iptables_table_holds_ours(&set->lists[i]) &&
            table_print_live(&set->lists[i], out, error) != 0)
            return -1;
    return 0;
}

static void print_script(const struct ruleset *set, FILE *out)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t f = 0; f < 2; f++) {
        fprintf(out,
                "# %s-legacy-restore --noflush\n"
                "# (Where iptables-restore writes to nf_tables, as on Debian, neither setup status "
                "nor\n"
                "# setup clear would see rules that it has written.)\n",
                families[f] == AF_INET ? "iptables" : "ip6tables");
        for (size_t i = 0; i < LISTS_COUNT; i++)
            if (set->lists[i].family == families[f])
                iptables_print_restore(out, &set->lists[i]);
    }
}

const struct backend iptables_backend = {
    .name = "iptables",
    .check = iptables_check,
    .is_absent = is_absent,
    .trim = iptables_trim,
    .apply = apply,
    .take_back = take_back,
    .undo_free = undo_free,
    .print_wanted = print_wanted,
    .print_live = print_live,
    .print_script = print_script,
};
