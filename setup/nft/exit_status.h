#ifndef SETUP_NFT_EXIT_STATUS_H
#define SETUP_NFT_EXIT_STATUS_H

/* How setup-nft ends. libnftables itself ends the process where netlink does not work, with a
 * status of its own, for which its caller is to allow. */
enum nft_exit_status {
    NFT_SUCCEEDED = 0, /* what the commands printed is on standard output */
    NFT_REFUSED = 1,   /* what was wrong with them is there */
    NFT_FAILED = 3,    /* there is no answer */
    NFT_NO_NETLINK = 4 /* the kernel has no netlink for netfilter */
};

#endif
