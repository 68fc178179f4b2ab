#include "healthd/responder/canaries.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/kernel/canary.h"

/* A canary that has not arrived when the next round begins, a second later, counts as lost: so
 * healthd knows after 10 s at most that rules are gone. A refused canary is noticed at once or, if
 * the kernel is busy, soon: while one is under way it is looked at in growing intervals. The long
 * interval needs two good rounds, because a setup that fails takes its rules back. */
enum { EVERY_MS = 9 * 1000, AGAIN_MS = 1000, LOOK_MS = 10 };

static const int families[PROBE_FAMILIES] = {AF_INET, AF_INET6};

/* Connecting a datagram socket sends nothing, but fails without a local address. (The confined
 * responder may not bind one, as ipv6_loopback_is_usable does.) */
static bool has_loopback(int family)
{
    int fd = canary_connect(family, SOCK_DGRAM);
    if (fd < 0)
        return errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL && errno != ENETUNREACH;
    close(fd);
    return true;
}

static void look_for_addresses(struct probes *probes)
{
    for (size_t i = 0; i < PROBE_FAMILIES; i++) {
        bool there = families[i] == AF_INET || has_loopback(families[i]);
        probes->canaries[i].wanted = probes->canaries[i].configured && there;
        probes->guards[i].wanted = probes->guards[i].configured && there;
    }
}

void probes_init(struct probes *probes, const struct config *config)
{
    memset(probes, 0, sizeof(*probes));
    for (size_t i = 0; i < PROBE_FAMILIES; i++) {
        struct probe *canary = &probes->canaries[i], *guard = &probes->guards[i];
        canary->fd = guard->fd = -1;
        strlcpy(canary->error, "not tried yet", sizeof(canary->error));
        strlcpy(guard->error, "not tried yet", sizeof(guard->error));
        canary->configured =
            config->transparent && (families[i] == AF_INET || config->ipv6 == IPV6_REDIRECT);
        guard->configured = config->transparent && config_has_guard(config, families[i]);
    }
    look_for_addresses(probes);
    probes->deadline_ms = config->transparent ? 0 : INT64_MAX;
}

static void fail(struct probe *probe, const char *what, const char *why)
{
    strlcpy(probe->error, why, sizeof(probe->error));
    if (probe->holds)
        log_error("%s not in effect: %s", what, why);
    probe->holds = false;
}

static void hold(struct probe *probe, const char *what, int family)
{
    if (!probe->holds)
        log_info("%s in effect (canary %s)", what, canary_name(family));
    probe->holds = true;
}

static void end_canary(struct probe *probe)
{
    if (probe->fd >= 0)
        close(probe->fd);
    probe->fd = -1;
}

static void fail_canary(struct probe *probe, int family, const char *reason)
{
    char why[sizeof(probe->error)];
    snprintf(why, sizeof(why), "canary %s: %s", canary_name(family), reason);
    end_canary(probe);
    fail(probe, "redirect rules", why);
}

static void begin_canary(struct probe *probe, int family)
{
    if (probe->fd >= 0)
        fail_canary(probe, family, "did not arrive here within a second");
    probe->fd = canary_connect(family, SOCK_STREAM);
    if (probe->fd < 0)
        fail_canary(probe, family, strerror(errno));
}

/* Fails a canary that was refused: it will not arrive. */
static void check_canary(struct probe *probe, int family)
{
    int reason = 0;
    socklen_t size = sizeof(reason);
    if (probe->fd >= 0 && getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &reason, &size) == 0 &&
        reason != 0)
        fail_canary(probe, family, strerror(reason));
}

static void check_guard(struct probe *probe, int family)
{
    struct error error;
    if (canary_prove_guard(family, &error) == 0)
        hold(probe, "guard rules", family);
    else
        fail(probe, "guard rules", error.text);
}

static bool all_hold(const struct probes *probes)
{
    for (size_t i = 0; i < PROBE_FAMILIES; i++)
        if ((probes->canaries[i].wanted && !probes->canaries[i].holds) ||
            (probes->guards[i].wanted && !probes->guards[i].holds))
            return false;
    return true;
}

static bool are_done(const struct probes *probes)
{
    for (size_t i = 0; i < PROBE_FAMILIES; i++)
        if (probes->canaries[i].fd >= 0)
            return false;
    return true;
}

static void begin_round(struct probes *probes, int64_t now)
{
    probes->begun_ms = now;
    look_for_addresses(probes);
    for (size_t i = 0; i < PROBE_FAMILIES; i++) {
        if (probes->canaries[i].wanted)
            begin_canary(&probes->canaries[i], families[i]);
        else
            end_canary(&probes->canaries[i]);
        if (probes->guards[i].wanted)
            check_guard(&probes->guards[i], families[i]);
    }
}

void probes_look(struct probes *probes, void (*accept_waiting)(void))
{
    int64_t now = clock_ms();
    accept_waiting();
    if (now >= probes->next_round_ms) {
        probes->is_steady = all_hold(probes);
        begin_round(probes, now);
        accept_waiting();
    }
    for (size_t i = 0; i < PROBE_FAMILIES; i++)
        check_canary(&probes->canaries[i], families[i]);
    bool is_done = are_done(probes);
    probes->deadline_ms = probes->next_round_ms =
        probes->begun_ms + (is_done && probes->is_steady && all_hold(probes) ? EVERY_MS : AGAIN_MS);
    int64_t look_ms = now + LOOK_MS + (now - probes->begun_ms);
    if (!is_done && look_ms < probes->deadline_ms)
        probes->deadline_ms = look_ms;
}

/* The port of one end, by ask (getpeername or getsockname), in network order. */
static in_port_t port_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t size = sizeof(address);
    if (ask(fd, &address.any, &size) != 0)
        return 0;
    return address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port;
}

bool probes_arrived(struct probes *probes, int family, int accepted)
{
    struct probe *probe = &probes->canaries[family == AF_INET ? 0 : 1];
    bool is_own =
        probe->fd >= 0 && port_of(accepted, getpeername) == port_of(probe->fd, getsockname);
    /* Somebody else's canary shows that there are new rules: begin a round now. */
    if (!is_own && !probe->holds)
        probes->next_round_ms = probes->deadline_ms = 0;
    hold(probe, "redirect rules", family);
    /* This may be ours from another port: NAT changes the port if it is still in use. Whoever sent
     * this canary, it proves what ours would prove. */
    end_canary(probe);
    return is_own;
}
