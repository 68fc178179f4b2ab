#include "setup/redirect.h"

#include <linux/capability.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/listener.h"
#include "common/log.h"
#include "common/privileges.h"
#include "setup/iptables.h"
#include "setup/proof.h"
#include "setup/rules.h"

enum { LOOK_EVERY_MS = 10 };

int redirect_check_capabilities(struct error *error)
{
    bool admin = capability_held(CAP_NET_ADMIN);
    bool raw = capability_held(CAP_NET_RAW);
    if (admin && raw)
        return 0;
    return error_set(error, EX_NOPERM, "setup redirect needs %s%s%s",
                     admin ? "" : capability_name(CAP_NET_ADMIN), admin || raw ? "" : " and ",
                     raw ? "" : capability_name(CAP_NET_RAW));
}

/* mitmdump's listener is there when the kernel says so, and says that it is the right user's. */
static int look(int diagnosis, const struct config *config, struct error *error)
{
    struct listener found;
    int there = listener_find(diagnosis, AF_INET, config->port, &found, error);
    if (there == 1 && found.uid != config->user.uid)
        return error_set(error, EX_UNAVAILABLE,
                         "port %u is held by uid %u, expected mitmdump as uid %u", config->port,
                         found.uid, config->user.uid);
    return there;
}

static int wait_for_listener(const struct config *config, unsigned int seconds, struct error *error)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    struct error last = {0};
    int there = 0;
    int diagnosis = listener_diagnosis_open(error);
    if (diagnosis < 0)
        return -1;
    log_info("waiting for mitmdump on 127.0.0.1:%u, at most %u s", config->port, seconds);
    for (unsigned long looks = seconds * 1000UL / LOOK_EVERY_MS; looks > 0 && there != 1; looks--) {
        there = look(diagnosis, config, &last);
        if (there != 1)
            nanosleep(&pause, NULL);
    }
    close(diagnosis);
    if (there == 1)
        return 0;
    return error_set(error, EX_UNAVAILABLE,
                     "mitmdump did not listen on 127.0.0.1:%u within %u s%s%s", config->port,
                     seconds, last.text[0] != '\0' ? ": " : "", last.text);
}

static void undo(const struct iptables_snapshot *snapshot)
{
    struct error error;
    if (snapshot == NULL)
        return;
    if (iptables_restore(snapshot, &error) == 0)
        log_warn("put the rules back as they were");
    else
        log_error("put the rules back as they were: %s", error.text);
}

int redirect(const struct config *config, unsigned int wait_seconds, struct state *state,
             struct error *error)
{
    struct iptables_snapshot *snapshot = NULL;
    struct rule_list list;
    bool changed = false;
    if (redirect_check_capabilities(error) != 0)
        return -1;
    if (wait_seconds > 0 && wait_for_listener(config, wait_seconds, error) != 0)
        return -1;
    rules_build(config, AF_INET, &list);
    int result = iptables_apply(&list, &changed, &snapshot, error);
    if (result == 0)
        result = proof_run(config->http.port, error);
    if (result != 0)
        undo(snapshot);
    iptables_snapshot_free(snapshot);
    if (result != 0)
        return -1;
    strlcpy(state->backend, "iptables", sizeof(state->backend));
    state->rules = (uint32_t)list.count;
    log_info("iptables: %zu rules in chain " RULE_CHAIN " %s, canary proved", list.count,
             changed ? "installed" : "were there already");
    return 0;
}

int redirect_clear(struct state *state, struct error *error)
{
    bool changed = false;
    if (iptables_clear(&changed, error) != 0)
        return -1;
    state->backend[0] = '\0';
    state->rules = 0;
    log_info("iptables: %s", changed ? "our rules removed" : "no rules of ours");
    return 0;
}
