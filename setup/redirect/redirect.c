#include "setup/redirect/redirect.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/kernel/canary.h"
#include "common/process/privileges.h"
#include "setup/nft/foreign_chains.h"
#include "setup/nft/text.h"
#include "setup/redirect/connections.h"
#include "setup/redirect/proof.h"
#include "setup/rules/compare.h"
#include "setup/rules/rules.h"

/* A redirect to a place where mitmdump cannot listen would refuse all of IPv6. That is safe, but
 * not what was asked for. */
static int check_ipv6(const struct config *config, const struct ruleset *set, struct error *error)
{
    if (config->ipv6 != IPV6_REDIRECT || !set->ipv6_required || set->ipv6_loopback)
        return 0;
    return error_set(error, EX_UNAVAILABLE,
                     "this namespace has IPv6 addresses, but mitmdump could not listen on ::1; "
                     "set " CONFIG_PREFIX "MITMPROXY_IPV6=reject, or give lo its address");
}

/* Takes the gate out of the set, into what the other backend holds. */
static void move_gate(struct redirect_plan *plan)
{
    plan->rest.gate = plan->set.gate;
    plan->rest.devices = plan->set.devices;
    plan->set.gate.count = 0;
}

/* The gate is nft's, whatever holds the other rules. A kernel without the interface for it has
 * none. Any other failure is one: a gate that stands is not given up for it. */
static int plan_gate(struct redirect_plan *plan, struct error *error)
{
    if (plan->choice.backend == &nft_backend || plan->set.gate.count == 0)
        return 0;
    move_gate(plan);
    if (nft_backend.check(&plan->rest, error) == 0)
        return 0;
    if (error->status != EX_UNAVAILABLE)
        return -1;
    backend_leave_out_gate(&plan->rest, error->text, &plan->choice);
    return 0;
}

int redirect_make_plan(const struct config *config, struct redirect_plan *plan, struct error *error)
{
    plan->rest = no_rules;
    rules_build(config, &plan->set);
    if (check_ipv6(config, &plan->set, error) != 0 ||
        rules_build_gate(config, &plan->set, error) != 0)
        return -1;
    bool has_devices = plan->set.gate.count > 0;
    if (backend_choose(config, &plan->set, &plan->choice, error) != 0)
        return -1;
    if (!has_devices)
        backend_leave_out_gate(&plan->set, "this namespace has no devices", &plan->choice);
    plan->choice.backend->trim(&plan->set);
    return plan_gate(plan, error);
}

static int prove_guard(const struct config *config, int family, struct error *error)
{
    if (!config_has_guard(config, family) || canary_prove_guard(family, error) == 0)
        return 0;
    return error_prefix(error, "proof: the guard is not in effect");
}

static int prove(const struct config *config, bool has_ipv6, struct error *error)
{
    if (prove_guard(config, AF_INET, error) != 0 ||
        (has_ipv6 && prove_guard(config, AF_INET6, error) != 0))
        return -1;
    if (proof_run(AF_INET, config->http.port, error) != 0)
        return -1;
    if (has_ipv6 && config->ipv6 == IPV6_REDIRECT)
        return proof_run(AF_INET6, config->http.port, error);
    return 0;
}

static void take_back(const struct backend *backend, const struct ruleset *set, const void *undo)
{
    struct error error;
    if (undo == NULL)
        return;
    if (backend->take_back(set, undo, &error) == 0)
        log_warn("%s: put the rules back as they were", backend->name);
    else
        log_error("%s: cannot put the rules back as they were: %s", backend->name, error.text);
}

/* Makes a backend hold the set, which may be empty; *undo puts back what was there. A backend that
 * this kernel lacks holds nothing of ours. */
static int settle(const struct backend *backend, const struct ruleset *set, void **undo,
                  struct error *error)
{
    struct error unusable;
    bool changed = false;
    bool clears = set->gate.count == 0;
    *undo = NULL;
    if (clears && backend->is_absent())
        return 0;
    if (clears && backend->check(&no_rules, &unusable) != 0 && unusable.status == EX_UNAVAILABLE)
        return 0;
    if (backend->apply(set, &changed, undo, error) != 0)
        return -1;
    if (changed && clears)
        log_info("%s: our rules removed", backend->name);
    return 0;
}

/* The new rules come before the old ones of the other backend go: both at once do no harm for a
 * moment, none at all would. The proof comes last, because a canary could arrive by the old
 * rules. */
static int install(const struct config *config, const struct redirect_plan *plan, bool *changed,
                   struct error *error)
{
    const struct backend *backend = plan->choice.backend, *other = backend_other(backend);
    void *undo = NULL, *undo_other = NULL;
    int result = backend->apply(&plan->set, changed, &undo, error);
    if (result == 0)
        result = settle(other, &plan->rest, &undo_other, error);
    if (result == 0)
        result = prove(config, plan->set.ipv6_loopback, error);
    if (result != 0) {
        take_back(other, &plan->rest, undo_other);
        take_back(backend, &plan->set, undo);
    }
    other->undo_free(undo_other);
    backend->undo_free(undo);
    return result;
}

/* Says where the gate stands, in the log and in the state file: the names of the devices, separated
 * by ",". */
static void record_gate(const struct redirect_plan *plan, struct state *state)
{
    const struct devices *devices = &plan->set.devices;
    state->gate[0] = '\0';
    strlcpy(state->gate_error, plan->choice.without_gate, sizeof(state->gate_error));
    if (plan->choice.without_gate[0] != '\0') {
        log_warn("no gate at the devices: %s; a process with CAP_NET_RAW can go around the proxy",
                 plan->choice.without_gate);
        return;
    }
    if (devices->more)
        log_warn("this namespace has more than %d devices: the gate stands at the first of them",
                 DEVICES_MAX);
    for (size_t i = 0; i < devices->count; i++) {
        strlcat(state->gate, i > 0 ? "," : "", sizeof(state->gate));
        strlcat(state->gate, devices->items[i].name, sizeof(state->gate));
    }
}

/* The chains of others that may decide before ours do, "" for none. */
static void find_foreign_chains(const struct backend *backend, char *text, size_t size)
{
    foreign_nat_chains(backend == &nft_backend ? NAT_PRIORITY : LEGACY_NAT_PRIORITY, text, size);
}

static bool is_first_installation(void)
{
    return iptables_backend.is_absent() && nft_backend.is_absent();
}

int redirect(const struct config *config, const struct redirect_plan *plan, struct state *state,
             struct error *error)
{
    bool changed = false, is_first = is_first_installation();
    char foreign[256];
    const char *backend = plan->choice.backend->name;
    log_info("backend %s: %s", backend, plan->choice.why);
    if (install(config, plan, &changed, error) != 0)
        return -1;
    if (is_first)
        close_connections(&plan->set);
    strlcpy(state->backend, backend, sizeof(state->backend));
    state->rules = (uint32_t)rules_count(&plan->set);
    state->port = config->port;
    state->user = config->user.uid;
    record_gate(plan, state);
    find_foreign_chains(plan->choice.backend, foreign, sizeof(foreign));
    if (foreign[0] != '\0')
        log_info("nat chains of other programs that may come before ours: %s", foreign);
    log_info("%s: %u rules %s, canary proved", backend, state->rules,
             changed ? "installed" : "were there already");
    return 0;
}

int redirect_dry_run(const struct config *config, FILE *out, struct error *error)
{
    static struct redirect_plan plan; /* large */
    struct error ignored;
    plan.set = no_rules;
    plan.rest = no_rules;
    if (config->transparent)
        rules_build(config, &plan.set);
    const struct backend *backend =
        config->backend == BACKEND_NFT ? &nft_backend : &iptables_backend;
    if (config->backend == BACKEND_AUTO) {
        if (backend_choose(config, &plan.set, &plan.choice, &ignored) == 0)
            backend = plan.choice.backend;
        else
            log_warn("cannot find out which backend \"auto\" would take, showing %s: %s",
                     backend->name, ignored.text);
    }
    if (config->transparent && rules_build_gate(config, &plan.set, error) != 0)
        return -1;
    backend->print_script(&plan.set, out);
    if (backend != &nft_backend && plan.set.gate.count > 0) {
        move_gate(&plan);
        fputs("# nft -f - (the gate; where the kernel has no hook for it, there is none)\n", out);
        nft_backend.print_script(&plan.rest, out);
    }
    return fflush(out) == 0 ? 0 : error_set(error, 1, "write: %s", strerror(errno));
}

int redirect_clear(struct state *state, struct error *error)
{
    void *undo = NULL;
    if (!capability_held(CAP_NET_ADMIN))
        return error_set(error, EX_NOPERM, "removing rules needs CAP_NET_ADMIN");
    if (settle(&iptables_backend, &no_rules, &undo, error) != 0)
        return -1;
    iptables_backend.undo_free(undo);
    if (settle(&nft_backend, &no_rules, &undo, error) != 0)
        return -1;
    nft_backend.undo_free(undo);
    state_forget_rules(state);
    log_info("no rules of ours are left");
    return 0;
}

/* Prints our live rules in a backend. A backend that this kernel lacks holds none. */
static int print_live(const struct backend *backend, FILE *out, struct error *error)
{
    struct error unusable;
    if (backend->is_absent())
        return 0;
    if (backend->check(&no_rules, &unusable) == 0)
        return backend->print_live(&no_rules, out, error);
    if (unusable.status == EX_UNAVAILABLE)
        return 0;
    *error = unusable;
    return -1;
}

/* Our live rules in both backends, as text which the caller frees. NULL with error. */
static char *read_live(struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        error_set(error, 1, "%s", strerror(errno));
        return NULL;
    }
    int result = print_live(&iptables_backend, out, error);
    if (result == 0)
        result = print_live(&nft_backend, out, error);
    if (fclose(out) == 0 && result == 0)
        return text;
    free(text);
    return NULL;
}

int redirect_print_live(FILE *out, struct error *error)
{
    char *live = read_live(error);
    if (live == NULL)
        return -1;
    for (char *line = live, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        fprintf(out, "  %.*s\n", (int)(end - line), line);
        end += *end == '\n';
    }
    if (live[0] == '\0')
        fprintf(out, "  none of ours\n");
    free(live);
    return 0;
}

/* The rules that should be there, as text which the caller frees. NULL with error. */
static char *read_wanted(const struct config *config, struct redirect_plan *planned,
                         struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    if (!config->transparent)
        return strdup("");
    if (redirect_make_plan(config, planned, error) != 0)
        return NULL;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        error_set(error, 1, "%s", strerror(errno));
        return NULL;
    }
    planned->choice.backend->print_wanted(&planned->set, out);
    if (planned->rest.gate.count > 0)
        nft_backend.print_wanted(&planned->rest, out);
    fclose(out);
    return text;
}

int redirect_compare(const struct config *config, FILE *out, struct error *error)
{
    static struct redirect_plan plan; /* large */
    char foreign[256];
    int differences = -1;
    char *wanted = read_wanted(config, &plan, error);
    char *live = wanted != NULL ? read_live(error) : NULL;
    if (live != NULL)
        differences = compare_lines(wanted, live, out);
    if (live != NULL && config->transparent) {
        find_foreign_chains(plan.choice.backend, foreign, sizeof(foreign));
        if (foreign[0] != '\0')
            fprintf(out, "  nat chains of other programs that may come before ours: %s\n", foreign);
        if (plan.choice.without_gate[0] != '\0')
            fprintf(out, "  no gate at the devices: %s\n", plan.choice.without_gate);
    }
    free(live);
    free(wanted);
    return differences;
}
