#ifndef SETUP_NFT_RUN_H
#define SETUP_NFT_RUN_H

#include <stdbool.h>

#include "common/base/error.h"

/* What libnftables said to some commands. */
struct nft_answer {
    bool succeeded;
    char *text; /* what they printed, or what was wrong with them; the caller frees it */
};

/* Is setup-nft there? 0, or -1 with error. */
int nft_run_check(struct error *error);

/* Runs commands in one transaction, by setup-nft (setup/nft/main.c). With dry_run the kernel checks
 * them, and changes nothing. 0, or -1 with error if there was no answer. */
int nft_run(const char *commands, bool dry_run, struct nft_answer *answer, struct error *error);

#endif
