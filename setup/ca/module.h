#ifndef SETUP_CA_MODULE_H
#define SETUP_CA_MODULE_H

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"
#include "setup/module.h"

/* What setup calls of CA_MODULE (setup/module.h). */
struct ca_module {
    struct module module;

    /* `setup prepare`: confdir, CA, export. Fills setup's CA keys of state. 0, or -1 with
     * error. */
    int (*prepare)(const struct config *config, struct state *state, struct error *error);

    /* Prints the exported roots to stdout. Returns how many things are wrong with them; state has
     * what setup wrote down. */
    int (*print)(const struct config *config, const struct state *state);
};

/* The module's one object. */
#define CA_MODULE_OBJECT "ca_module"
extern const struct ca_module ca_module;

#endif
