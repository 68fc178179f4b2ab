#ifndef SETUP_REDIRECT_REDIRECT_H
#define SETUP_REDIRECT_REDIRECT_H

#include <stdio.h>

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/state/state.h"
#include "setup/redirect/backend_choice.h"
#include "setup/rules/rules.h"

/* What is to be installed, and how. */
struct redirect_plan {
    struct ruleset set;
    struct ruleset rest; /* what the other backend holds: the gate, where that is not nft */
    struct chosen_backend choice;
};

/* Builds the rules and finds the backend for them. Changes nothing. 0, or -1 with the error that
 * redirect would end in: 77 and the capability, 69 and what the kernel lacks. */
int redirect_make_plan(const struct config *config, struct redirect_plan *plan,
                       struct error *error);

/* `setup redirect`: installs the rules and proves that they work, or leaves them as they were.
 * Fills the rules' keys of state. 0, or -1 with error. */
int redirect(const struct config *config, const struct redirect_plan *plan, struct state *state,
             struct error *error);

/* `setup redirect --dry-run`: prints what would be installed in the backend's own syntax. Needs no
 * privilege, and changes nothing. */
int redirect_dry_run(const struct config *config, FILE *out, struct error *error);

/* `setup clear`: removes exactly our rules, from whichever backend. */
int redirect_clear(struct state *state, struct error *error);

/* Prints the live rules that are ours, a row each. 0, or -1 with error. */
int redirect_print_live(FILE *out, struct error *error);

/* Prints the live rules and those that should be there (none with transparent mode off). Returns
 * how many differ, or -1 with error. */
int redirect_compare(const struct config *config, FILE *out, struct error *error);

#endif
