#ifndef SETUP_RULES_BACKEND_H
#define SETUP_RULES_BACKEND_H

#include <stdbool.h>
#include <stdio.h>

#include "common/base/error.h"
#include "setup/rules/rule.h"

/* One of the two kernel interfaces that can hold the rules. */
struct backend {
    const char *name; /* as REDIRECT_BACKEND has it */

    /* Can this kernel take the set from this process? 0, or -1 with error: 69 if the kernel does
     * not have what it needs, 77 and the capability, 1 if it could not be asked. Changes nothing.
     */
    int (*check)(const struct ruleset *set, struct error *error);

    /* Is there certainly nothing of ours in the kernel by this interface? Needs no privilege and
     * changes nothing. */
    bool (*is_absent)(void);

    /* Leaves out of the set what it does not require and the kernel cannot take. */
    void (*trim)(struct ruleset *set);

    /* Makes the live rules exactly those of the set; an empty set removes them. Sets *changed if
     * anything had to be done. If *undo is not NULL then, take_back can undo the change by it, and
     * the caller frees it. 0, or -1 with error: then the rules are as they were. */
    int (*apply)(const struct ruleset *set, bool *changed, void **undo, struct error *error);

    /* Puts back what was there before apply. */
    int (*take_back)(const struct ruleset *set, const void *undo, struct error *error);
    void (*undo_free)(void *undo);

    /* Print a row for each rule: of the set, and of ours in the kernel. Equal rows are equal text.
     */
    void (*print_wanted)(const struct ruleset *set, FILE *out);
    int (*print_live)(const struct ruleset *set, FILE *out, struct error *error);

    /* Prints the set in the syntax of the backend's own tool. */
    void (*print_script)(const struct ruleset *set, FILE *out);
};

extern const struct backend iptables_backend; /* the legacy tables, by libiptc */
extern const struct backend nft_backend;      /* nf_tables, by libnftables */

#endif
