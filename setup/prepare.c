#include "setup/prepare.h"

#include "common/log.h"
#include "setup/ca/module.h"
#include "setup/module.h"
#include "setup/prepared.h"

int prepare(const struct config *config, struct state *state, struct error *error)
{
    char inputs[FILE_SUM_SIZE];
    struct ca_outlook outlook = {0};
    if (prepared_holds(config, inputs, state)) {
        log_info("CA and export are as they should be");
        return 0;
    }
    const struct ca_module *module = module_find(CA_MODULE, CA_MODULE_OBJECT, error);
    if (module == NULL || module->prepare(config, state, &outlook, error) != 0)
        return -1;
    /* What there is to warn of is said each time. */
    if (!outlook.warned)
        prepared_write(config, inputs, state, outlook.root_ends);
    return 0;
}
