#ifndef SETUP_NFT_TABLE_H
#define SETUP_NFT_TABLE_H

/* Asks the kernel by one netlink message whether our table of that family (NFPROTO_INET) exists. In
 * most namespaces it does not, and then libnftables is not needed. 1 or 0; -1 for any other answer.
 */
int nft_table_is_there(int family);

#endif
