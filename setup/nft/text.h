#ifndef SETUP_NFT_TEXT_H
#define SETUP_NFT_TEXT_H

#include <stdio.h>

#include "setup/rules/rules.h"

#define NFT_TABLE_NAME "opensandbox_egress"
#define NFT_TABLE "inet " NFT_TABLE_NAME
#define NFT_GATE "netdev " NFT_TABLE_NAME

/* The priorities of nat on the output hook: ours, and that of the legacy tables, where destination
 * NAT belongs; behind connection tracking at -200 (linux/netfilter_ipv4.h). */
#define NFT_NAT_PRIORITY "-110"
enum { NAT_PRIORITY = -110, LEGACY_NAT_PRIORITY = -100 };

/* Prints the set as our nft tables, as nft lists them and reads them: one with a chain for each
 * list, and base chains that lead to them; one with the gate, and a base chain for each device.
 * Nothing for an empty set. */
void nft_print_tables(const struct ruleset *set, FILE *out);

#endif
