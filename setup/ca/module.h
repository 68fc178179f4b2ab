#ifndef SETUP_CA_MODULE_H
#define SETUP_CA_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"
#include "setup/module.h"

/* How long what was prepared may be left alone. */
struct ca_outlook {
    bool warned;       /* there is something to warn of */
    int64_t root_ends; /* seconds since 1970: when the first exported root expires */
};

/* What setup calls of CA_MODULE (setup/module.h). */
struct ca_module {
    struct module module;

    /* `setup prepare`: confdir, CA, export. Fills setup's CA keys of state, and outlook. 0, or -1
     * with error. */
    int (*prepare)(const struct config *config, struct state *state, struct ca_outlook *outlook,
                   struct error *error);

    /* Prints the exported roots to stdout. Returns how many things are wrong with them; state has
     * what setup wrote down. */
    int (*print)(const struct config *config, const struct state *state);
};

/* The module's one object. */
#define CA_MODULE_OBJECT "ca_module"
extern const struct ca_module ca_module;

#endif
