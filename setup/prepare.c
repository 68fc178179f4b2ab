#include "setup/prepare.h"

#include "setup/ca/module.h"
#include "setup/module.h"

int prepare(const struct config *config, struct state *state, struct error *error)
{
    const struct ca_module *module = module_find(CA_MODULE, CA_MODULE_OBJECT, error);
    return module != NULL ? module->prepare(config, state, error) : -1;
}
