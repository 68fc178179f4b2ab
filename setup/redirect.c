#include "setup/redirect.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "common/ipv6.h"
#include "common/log.h"
#include "common/privileges.h"
#include "setup/backend.h"
#include "setup/compare.h"
#include "setup/proof.h"
#include "setup/rules.h"
#include "setup/wait.h"

enum { WHY_SIZE = 256 };

/* A redirect to a place where mitmdump cannot listen would refuse all of IPv6. That is safe, but
 * not what was asked for. */
static int check_ipv6(const struct config *config, const struct ruleset *set, struct error *error)
{
    if (config->ipv6 != IPV6_REDIRECT || !set->ipv6_required || ipv6_loopback_is_usable())
        return 0;
    return error_set(error, EX_UNAVAILABLE,
                     "this namespace has IPv6 addresses, but mitmdump could not listen on ::1; "
                     "set " CONFIG_PREFIX "MITMPROXY_IPV6=reject, or give lo its address");
}

/* Builds the rules and finds the backend for them. */
static const struct backend *plan(const struct config *config, struct ruleset *set, char *why,
                                  struct error *error)
{
    rules_build(config, set);
    if (check_ipv6(config, set, error) != 0)
        return NULL;
    return backend_choose(config, set, why, WHY_SIZE, error);
}

int redirect_check(const struct config *config, struct error *error)
{
    struct ruleset set;
    char why[WHY_SIZE];
    return plan(config, &set, why, error) != NULL ? 0 : -1;
}

static int prove(const struct config *config, struct error *error)
{
    if (proof_run(AF_INET, config->http.port, error) != 0)
        return -1;
    if (ipv6_is_redirected(config))
        return proof_run(AF_INET6, config->http.port, error);
    return 0;
}

static void take_back(const struct backend *backend, const struct ruleset *set, const void *undo)
{
    struct error error;
    if (undo == NULL)
        return;
    if (backend->take_back(set, undo, &error) == 0)
        log_warn("put the rules back as they were");
    else
        log_error("put the rules back as they were: %s", error.text);
}

/* Rules in both at once are harmless for a moment, none would not be. */
static int remove_from(const struct backend *backend, bool *changed, struct error *error)
{
    static const struct ruleset nothing = {.lists = {{TABLE_FILTER, AF_INET, 0, {{0}}},
                                                     {TABLE_FILTER, AF_INET6, 0, {{0}}},
                                                     {TABLE_NAT, AF_INET6, 0, {{0}}},
                                                     {TABLE_NAT, AF_INET, 0, {{0}}}}};
    void *undo = NULL;
    int result = backend->apply(&nothing, changed, &undo, error);
    backend->undo_free(undo);
    return result;
}

/* A backend that this kernel or process cannot use has nothing of ours that we could remove. */
static int remove_from_other(const struct backend *backend, struct error *error)
{
    const struct backend *other = backend_other(backend);
    static const struct ruleset nothing;
    struct error unusable;
    bool changed = false;
    if (other->check(&nothing, &unusable) != 0)
        return 0;
    if (remove_from(other, &changed, error) != 0)
        return -1;
    if (changed)
        log_info("%s: rules of an earlier run removed", other->name);
    return 0;
}

static int install(const struct config *config, const struct backend *backend,
                   const struct ruleset *set, bool *changed, struct error *error)
{
    void *undo = NULL;
    int result = backend->apply(set, changed, &undo, error);
    if (result == 0) {
        result = prove(config, error);
        if (result != 0)
            take_back(backend, set, undo);
    }
    backend->undo_free(undo);
    return result;
}

int redirect(const struct config *config, unsigned int wait_seconds, struct state *state,
             struct error *error)
{
    struct ruleset set;
    char why[WHY_SIZE];
    bool changed = false;
    const struct backend *backend = plan(config, &set, why, error);
    if (backend == NULL)
        return -1;
    log_info("backend %s: %s", backend->name, why);
    if (wait_seconds > 0 && wait_for_mitmdump(config, wait_seconds, error) != 0)
        return -1;
    if (install(config, backend, &set, &changed, error) != 0 ||
        remove_from_other(backend, error) != 0)
        return -1;
    strlcpy(state->backend, backend->name, sizeof(state->backend));
    state->rules = (uint32_t)rules_count(&set);
    log_info("%s: %u rules %s, canary proved", backend->name, state->rules,
             changed ? "installed" : "were there already");
    return 0;
}

int redirect_dry_run(const struct config *config, FILE *out, struct error *error)
{
    struct ruleset set;
    struct error ignored;
    char why[WHY_SIZE];
    rules_build(config, &set);
    const struct backend *backend =
        config->backend == BACKEND_NFT ? &nft_backend : &iptables_backend;
    if (config->backend == BACKEND_AUTO) {
        const struct backend *chosen = backend_choose(config, &set, why, sizeof(why), &ignored);
        if (chosen != NULL)
            backend = chosen;
        else
            log_warn("cannot find out which backend \"auto\" would take, showing %s: %s",
                     backend->name, ignored.text);
    }
    backend->print_script(&set, out);
    return fflush(out) == 0 ? 0 : error_set(error, 1, "write: %s", strerror(errno));
}

int redirect_clear(struct state *state, struct error *error)
{
    if (!capability_held(CAP_NET_ADMIN))
        return error_set(error, EX_NOPERM, "setup clear needs CAP_NET_ADMIN");
    if (remove_from_other(&nft_backend, error) != 0 ||
        remove_from_other(&iptables_backend, error) != 0)
        return -1;
    state->backend[0] = '\0';
    state->rules = 0;
    log_info("no rules of ours are left");
    return 0;
}

/* All rows of ours in either backend, into text which the caller frees. */
static char *read_live(const struct ruleset *set, struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    struct error unusable;
    static const struct ruleset nothing;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        error_set(error, 1, "%s", strerror(errno));
        return NULL;
    }
    int result = 0;
    if (iptables_backend.check(&nothing, &unusable) == 0)
        result = iptables_backend.print_live(set, out, error);
    if (result == 0 && nft_backend.check(&nothing, &unusable) == 0)
        result = nft_backend.print_live(set, out, error);
    if (fclose(out) == 0 && result == 0)
        return text;
    free(text);
    return NULL;
}

int redirect_compare(const struct config *config, FILE *out, struct error *error)
{
    struct ruleset set;
    char why[WHY_SIZE];
    char *wanted = NULL;
    size_t size = 0;
    int differences = -1;
    const struct backend *backend = plan(config, &set, why, error);
    FILE *stream = backend != NULL ? open_memstream(&wanted, &size) : NULL;
    if (stream == NULL)
        return -1;
    backend->print_wanted(&set, stream);
    fclose(stream);
    char *live = read_live(&set, error);
    if (live != NULL)
        differences = compare_lines(wanted, live, out);
    free(live);
    free(wanted);
    return differences;
}
