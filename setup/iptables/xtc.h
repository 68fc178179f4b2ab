#ifndef SETUP_IPTABLES_XTC_H
#define SETUP_IPTABLES_XTC_H

#include <libiptc/libxtc.h>

/* libiptc has every function twice, iptc_* and ip6tc_*. This is one of the two sets; an entry is a
 * struct ipt_entry or a struct ip6t_entry. Functions return 0 and set errno when they fail, as
 * libiptc's do; positions count from 0. */

struct xtc_handle;

struct xtc {
    const char *program; /* what people call it */
    struct xtc_handle *(*init)(const char *table);
    void (*free)(struct xtc_handle *handle);
    int (*is_chain)(const char *chain, struct xtc_handle *handle);
    int (*create_chain)(const char *chain, struct xtc_handle *handle);
    int (*flush_entries)(const char *chain, struct xtc_handle *handle);
    int (*delete_chain)(const char *chain, struct xtc_handle *handle);
    int (*delete_num_entry)(const char *chain, unsigned int position, struct xtc_handle *handle);
    int (*insert_entry)(const char *chain, const void *entry, unsigned int position,
                        struct xtc_handle *handle);
    int (*append_entry)(const char *chain, const void *entry, struct xtc_handle *handle);
    const void *(*first_rule)(const char *chain, struct xtc_handle *handle);
    const void *(*next_rule)(const void *entry, struct xtc_handle *handle);
    const char *(*get_target)(const void *entry, struct xtc_handle *handle);
    int (*commit)(struct xtc_handle *handle);
    const char *(*strerror)(int reason);
};

/* The set for AF_INET or AF_INET6. */
const struct xtc *xtc_of(int family);

#endif
