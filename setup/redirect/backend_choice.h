#ifndef SETUP_REDIRECT_BACKEND_CHOICE_H
#define SETUP_REDIRECT_BACKEND_CHOICE_H

#include "common/config/config.h"
#include "setup/rules/backend.h"

struct chosen_backend {
    const struct backend *backend;
    char why[256];          /* that backend */
    char without_gate[256]; /* why there is no gate, "" where there is one */
};

/* Finds the backend that the configuration names, or with auto the first that can take the set. If
 * that is nft, and the kernel has no hook for the gate, the gate is left out of the set. 0, or -1
 * with error if there is no backend. */
int backend_choose(const struct config *config, struct ruleset *set, struct chosen_backend *choice,
                   struct error *error);

/* Takes the gate out of a set, and says why. */
void backend_leave_out_gate(struct ruleset *set, const char *why, struct chosen_backend *choice);

/* The other one. */
const struct backend *backend_other(const struct backend *backend);

#endif
