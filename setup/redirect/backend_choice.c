#include "setup/redirect/backend_choice.h"

#include <linux/capability.h>
#include <string.h>

#include "common/process/privileges.h"

const struct backend *backend_other(const struct backend *backend)
{
    return backend == &iptables_backend ? &nft_backend : &iptables_backend;
}

static const struct backend *choose_by_itself(const struct ruleset *set, char *why, size_t why_size,
                                              struct error *error)
{
    struct error iptables_error, nft_error;
    if (iptables_backend.check(set, &iptables_error) == 0) {
        strlcpy(why, "this kernel has the legacy tables", why_size);
        return &iptables_backend;
    }
    if (nft_backend.check(set, &nft_error) == 0) {
        strlcpy(why, iptables_error.text, why_size);
        return &nft_backend;
    }
    if (nft_error.status != EX_UNAVAILABLE && nft_error.status != EX_NOPERM) {
        *error = nft_error;
        return NULL;
    }
    if (!capability_held(CAP_NET_ADMIN)) {
        error_set(error, EX_NOPERM, "setup redirect needs CAP_NET_ADMIN");
        return NULL;
    }
    error_set(error, EX_UNAVAILABLE,
              "this kernel offers neither interface for the redirect; %.150s; %.150s; on the node, "
              "load the modules nf_tables, nft_chain_nat, nft_redir, nft_reject_inet and "
              "nft_fib_inet, or iptable_nat, iptable_filter, xt_addrtype, xt_owner, xt_tcpudp, "
              "xt_multiport and xt_REDIRECT",
              iptables_error.text, nft_error.text);
    return NULL;
}

const struct backend *backend_choose(const struct config *config, const struct ruleset *set,
                                     char *why, size_t why_size, struct error *error)
{
    if (config->backend == BACKEND_AUTO)
        return choose_by_itself(set, why, why_size, error);
    const struct backend *backend =
        config->backend == BACKEND_IPTABLES ? &iptables_backend : &nft_backend;
    strlcpy(why, "REDIRECT_BACKEND says so", why_size);
    return backend->check(set, error) == 0 ? backend : NULL;
}
