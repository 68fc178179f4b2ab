#include "setup/redirect/backend_choice.h"

#include <linux/capability.h>
#include <string.h>

#include "common/process/privileges.h"

const struct backend *backend_other(const struct backend *backend)
{
    return backend == &iptables_backend ? &nft_backend : &iptables_backend;
}

void backend_leave_out_gate(struct ruleset *set, const char *why, struct chosen_backend *choice)
{
    set->gate.count = 0;
    strlcpy(choice->without_gate, why, sizeof(choice->without_gate));
}

static int take(const struct backend *backend, const char *why, struct chosen_backend *choice)
{
    choice->backend = backend;
    strlcpy(choice->why, why, sizeof(choice->why));
    return 0;
}

/* Rules and gate are asked for at once, because each question costs a start of setup-nft. */
static int check_nft(struct ruleset *set, struct chosen_backend *choice, struct error *error)
{
    if (nft_backend.check(set, error) == 0)
        return 0;
    if (set->gate.count == 0 || error->status != EX_UNAVAILABLE)
        return -1;
    backend_leave_out_gate(set, error->text, choice);
    return nft_backend.check(set, error);
}

static int choose_by_itself(struct ruleset *set, struct chosen_backend *choice, struct error *error)
{
    struct error iptables_error, nft_error;
    if (iptables_backend.check(set, &iptables_error) == 0)
        return take(&iptables_backend, "this kernel has the legacy tables", choice);
    if (check_nft(set, choice, &nft_error) == 0)
        return take(&nft_backend, iptables_error.text, choice);
    if (nft_error.status != EX_UNAVAILABLE && nft_error.status != EX_NOPERM) {
        *error = nft_error;
        return -1;
    }
    if (!capability_held(CAP_NET_ADMIN))
        return error_set(error, EX_NOPERM, "setup redirect needs CAP_NET_ADMIN");
    return error_set(
        error, EX_UNAVAILABLE,
        "this kernel offers neither interface for the redirect; %.150s; %.150s; on the node, "
        "load the modules nf_tables, nft_chain_nat, nft_redir, nft_reject_inet and "
        "nft_fib_inet, or iptable_nat, iptable_filter, xt_addrtype, xt_owner, xt_tcpudp, "
        "xt_multiport and xt_REDIRECT",
        iptables_error.text, nft_error.text);
}

int backend_choose(const struct config *config, struct ruleset *set, struct chosen_backend *choice,
                   struct error *error)
{
    choice->without_gate[0] = '\0';
    if (config->backend == BACKEND_AUTO)
        return choose_by_itself(set, choice, error);
    bool iptables = config->backend == BACKEND_IPTABLES;
    if ((iptables ? iptables_backend.check(set, error) : check_nft(set, choice, error)) != 0)
        return -1;
    return take(iptables ? &iptables_backend : &nft_backend, "REDIRECT_BACKEND says so", choice);
}
