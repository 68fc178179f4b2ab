#include "setup/iptables/xtc.h"

#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <string.h>
#include <sys/socket.h>

/* libiptc always reads all 32 bytes of a label. */
static const char *label(const char *chain, xt_chainlabel full)
{
    memset(full, 0, sizeof(xt_chainlabel));
    strlcpy(full, chain, sizeof(xt_chainlabel));
    return full;
}

/* The same wrappers for both families; they differ in nothing but the types. */
#define DEFINE_XTC(prefix, entry_type, program_name)                                               \
    static int prefix##_create(const char *chain, struct xtc_handle *handle)                       \
    {                                                                                              \
        xt_chainlabel full;                                                                        \
        return prefix##_create_chain(label(chain, full), handle);                                  \
    }                                                                                              \
    static int prefix##_flush(const char *chain, struct xtc_handle *handle)                        \
    {                                                                                              \
        xt_chainlabel full;                                                                        \
        return prefix##_flush_entries(label(chain, full), handle);                                 \
    }                                                                                              \
    static int prefix##_delete(const char *chain, struct xtc_handle *handle)                       \
    {                                                                                              \
        xt_chainlabel full;                                                                        \
        return prefix##_delete_chain(label(chain, full), handle);                                  \
    }                                                                                              \
    static int prefix##_delete_num(const char *chain, unsigned int position,                       \
                                   struct xtc_handle *handle)                                      \
    {                                                                                              \
        xt_chainlabel full;                                                                        \
        return prefix##_delete_num_entry(label(chain, full), position, handle);                    \
    }                                                                                              \
    static int prefix##_insert(const char *chain, const void *entry, unsigned int position,        \
                               struct xtc_handle *handle)                                          \
    {                                                                                              \
        xt_chainlabel full;                                                                        \
        const entry_type *typed = entry;                                                           \
        return prefix##_insert_entry(label(chain, full), typed, position, handle);                 \
    }                                                                                              \
    static int prefix##_append(const char *chain, const void *entry, struct xtc_handle *handle)    \
    {                                                                                              \
        xt_chainlabel full;                                                                        \
        const entry_type *typed = entry;                                                           \
        return prefix##_append_entry(label(chain, full), typed, handle);                           \
    }                                                                                              \
    static const void *prefix##_first(const char *chain, struct xtc_handle *handle)                \
    {                                                                                              \
        return prefix##_first_rule(chain, handle);                                                 \
    }                                                                                              \
    static const void *prefix##_next(const void *entry, struct xtc_handle *handle)                 \
    {                                                                                              \
        const entry_type *typed = entry;                                                           \
        return prefix##_next_rule(typed, handle);                                                  \
    }                                                                                              \
    static const char *prefix##_target(const void *entry, struct xtc_handle *handle)               \
    {                                                                                              \
        const entry_type *typed = entry;                                                           \
        return prefix##_get_target(typed, handle);                                                 \
    }                                                                                              \
    static const struct xtc prefix = {program_name,      prefix##_init,       prefix##_free,       \
                                      prefix##_is_chain, prefix##_create,     prefix##_flush,      \
                                      prefix##_delete,   prefix##_delete_num, prefix##_insert,     \
                                      prefix##_append,   prefix##_first,      prefix##_next,       \
                                      prefix##_target,   prefix##_commit,     prefix##_strerror}

DEFINE_XTC(iptc, struct ipt_entry, "iptables");
DEFINE_XTC(ip6tc, struct ip6t_entry, "ip6tables");

const struct xtc *xtc_of(int family)
{
    return family == AF_INET ? &iptc : &ip6tc;
}
