#include "setup/ca/module.h"

#include "setup/ca/ca_status.h"
#include "setup/ca/key_memory.h"
#include "setup/ca/prepare.h"

/* Before anything of OpenSSL's. */
__attribute__((constructor)) static void begin(void)
{
    key_memory_clear_on_free();
}

const struct ca_module ca_module = {.module = {VERSION}, .prepare = ca_prepare, .print = ca_print};
