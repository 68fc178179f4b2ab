#ifndef SETUP_NFT_FOREIGN_CHAINS_H
#define SETUP_NFT_FOREIGN_CHAINS_H

#include <stddef.h>

/* Writes the nat chains of other programs on the output hook that may come before one of this
 * priority: "ip nat OUTPUT (priority -100)", separated by ", ". The first chain that has a verdict
 * for a connection decides. Chains of the same priority run in the order in which they were made.
 * "" if there is none, or the kernel cannot be asked. Needs CAP_NET_ADMIN. */
void foreign_nat_chains(int priority, char *text, size_t size);

#endif
