#ifndef HEALTHD_RESPONDER_CANARIES_H
#define HEALTHD_RESPONDER_CANARIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

/* The responder's own proof that the rules are live. For each family it connects to the canary,
 * which the redirect sends to our own listener, and sends a datagram there, which the guard
 * refuses: every 9 s, and every second while one of these fails or has just failed. */

struct probe {
    bool configured; /* there are such rules */
    bool wanted;     /* and the family has an address: IPv6 may come and go */
    bool holds;
    char error[128]; /* why it does not */
    int fd;          /* a connection that is under way; -1: none */
};

enum { PROBE_FAMILIES = 2 };

/* The arrays are by family: IPv4, IPv6. */
struct probes {
    struct probe canaries[PROBE_FAMILIES];
    struct probe guards[PROBE_FAMILIES];
    int64_t begun_ms, next_round_ms;
    bool is_steady;      /* all were in order when the last round began */
    int64_t deadline_ms; /* of the next look, INT64_MAX for none */
};

void probes_init(struct probes *probes, const struct config *config);

/* To be called at deadline_ms, of which it sets the next one. Begins a round, or checks on the last
 * one. accept_waiting accepts what has arrived at our listeners: on loopback a canary mostly has
 * when connect returns. */
void probes_look(struct probes *probes, void (*accept_waiting)(void));

/* A connection to the canary of that family has been accepted. True if it is our own, on which no
 * request will follow. */
bool probes_arrived(struct probes *probes, int family, int accepted);

#endif
