#ifndef SETUP_NFT_LIBRARY_H
#define SETUP_NFT_LIBRARY_H

#include <stdbool.h>

#include "setup/module.h"

/* What setup calls of NFT_MODULE (setup/module.h). */
struct nft_library {
    struct module module;

    /* Runs commands in one transaction, by libnftables, which ends the process where netlink does
     * not work; with dry_run the kernel checks them, and changes nothing. Sets *succeeded, and
     * returns what they printed or what was wrong with them: memory which the caller frees. NULL if
     * memory is out. */
    char *(*run)(const char *commands, bool dry_run, bool *succeeded);
};

/* The module's one object. */
#define NFT_LIBRARY_OBJECT "nft_library"
extern const struct nft_library nft_library;

#endif
