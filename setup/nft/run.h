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

/* How commands are run. */
enum nft_mode {
    NFT_RUN,   /* all in one transaction */
    NFT_CHECK, /* the same, but the kernel only checks them, and changes nothing */
    NFT_LIST   /* each line for itself: a list of another family than the first would be empty */
};

/* Runs commands by setup-nft (setup/nft/main.c). 0, or -1 with error if there was no answer. */
int nft_run(const char *commands, enum nft_mode mode, struct nft_answer *answer,
            struct error *error);

#endif
