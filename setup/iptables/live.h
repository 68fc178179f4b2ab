#ifndef SETUP_IPTABLES_LIVE_H
#define SETUP_IPTABLES_LIVE_H

#include <stdbool.h>

#include "common/base/error.h"
#include "setup/iptables/xtc.h"
#include "setup/rules/rules.h"

/* libiptc's copy of one legacy table, and what is ours in it. */
struct live {
    const struct rule_list *list; /* whose table and family it is */
    const char *chain;            /* that ours are in */
    const char *hook;             /* the kernel's own chain, which jumps to it */
    const struct xtc *xtc;
    struct xtc_handle *handle;
};

/* Reads the table. 0, or -1 with error and errno. The caller ends it with live_close. */
int live_open(struct live *live, const struct rule_list *list, struct error *error);
void live_close(struct live *live);

/* Fills error from errno in libiptc's words. what is the action that failed. Returns -1. */
int live_error(const struct live *live, const char *what, struct error *error);

/* Does this errno mean that the kernel does not have the table? */
bool live_is_absent(int reason);

bool live_has_chain(const struct live *live);

/* Are the chain's rules those of the list, in the same order? */
bool live_chain_matches(const struct live *live);

/* Does this entry of the hook jump to our chain? */
bool live_is_jump(const struct live *live, const void *entry);
bool live_has_jump(const struct live *live);

/* Is there one unconditional jump, at position 1, and no other? */
bool live_jump_matches(const struct live *live);

#endif
