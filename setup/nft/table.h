#ifndef SETUP_NFT_TABLE_H
#define SETUP_NFT_TABLE_H

/* Asks the kernel, by one netlink message, whether the table is there that is ours: in most
 * namespaces it is not, and libnftables need not be woken. 1 or 0; -1 where the answer was
 * something else. */
int nft_table_is_there(void);

#endif
