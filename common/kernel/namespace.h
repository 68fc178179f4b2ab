#ifndef COMMON_KERNEL_NAMESPACE_H
#define COMMON_KERNEL_NAMESPACE_H

enum { NAMESPACE_ID_SIZE = 40 };

/* Names this network namespace for as long as the machine runs: "cookie-N" from SO_NETNS_COOKIE,
 * or "inode-N" on kernels before 5.14, where a later namespace may get the same number. */
void network_namespace_id(char id[static NAMESPACE_ID_SIZE]);

/* The kernel's boot id, "-" where /proc does not tell. */
void boot_id(char id[static NAMESPACE_ID_SIZE]);

#endif
