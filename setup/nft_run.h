#ifndef SETUP_NFT_RUN_H
#define SETUP_NFT_RUN_H

#include <stdbool.h>

#include "common/error.h"

/* What libnftables said to some commands. */
struct nft_answer {
    bool succeeded;
    char *text; /* what they printed, or what was wrong with them; the caller frees it */
};

/* Can libnftables be loaded? 0, or -1 with error. */
int nft_run_check(struct error *error);

/* Runs commands in one transaction, by libnftables in a process of its own: where netlink does not
 * work, the library ends the process that calls it. With dry_run the kernel checks them, and
 * changes nothing. 0, or -1 with error if there was no answer. */
int nft_run(const char *commands, bool dry_run, struct nft_answer *answer, struct error *error);

#endif
