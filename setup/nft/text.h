#ifndef SETUP_NFT_TEXT_H
#define SETUP_NFT_TEXT_H

#include <stdio.h>

#include "setup/rules/rules.h"

#define NFT_TABLE_NAME "opensandbox_egress"
#define NFT_TABLE "inet " NFT_TABLE_NAME

/* Prints the set as our nft table, as nft lists it and reads it: a chain for each list, and two
 * base chains that lead to them. Nothing for an empty set. */
void nft_print_table(const struct ruleset *set, FILE *out);

#endif
