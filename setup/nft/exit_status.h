#ifndef SETUP_NFT_EXIT_STATUS_H
#define SETUP_NFT_EXIT_STATUS_H

/* How setup-nft ends. Where netlink does not work, libnftables itself ends the process with a
 * status of its own, which the caller must expect as well. */
enum nft_exit_status {
    NFT_SUCCEEDED = 0, /* what the commands printed is on standard output */
    NFT_REFUSED = 1,   /* standard output says what was wrong with them */
    NFT_FAILED = 3,    /* there is no answer */
    NFT_NO_NETLINK = 4 /* the kernel has no netlink for netfilter */
};

#endif
