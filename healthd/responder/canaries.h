#ifndef HEALTHD_RESPONDER_CANARIES_H
#define HEALTHD_RESPONDER_CANARIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

/* The responder's own proof that the rules are live, every 9 s, every second while one fails or has
 * just failed: for each family a connection to the canary, which the redirect sends to our own
 * listener, and a datagram there, which the guard refuses. */

struct probe {
    bool configured; /* there are such rules */
    bool wanted;     /* and an address that they are proved by: IPv6 may come and go */
    bool holds;
    char error[128]; /* why it does not */
    int fd;          /* a connection that is under way; -1: none */
};

enum { PROBE_FAMILIES = 2 };

/* By family: IPv4, IPv6. */
struct probes {
    struct probe canaries[PROBE_FAMILIES];
    struct probe guards[PROBE_FAMILIES];
    int64_t begun_ms, next_round_ms;
    bool is_steady;      /* all were in order when the last round began */
    int64_t deadline_ms; /* of the next look, INT64_MAX for none */
};

void probes_init(struct probes *probes, const struct config *config);

/* Looks after the probes, which is due at the deadline, and sets the next one: begins a round, or
 * sees what has become of the last one. accept_waiting takes in what has arrived at our listeners:
 * on loopback the canary mostly has when connect returns. */
void probes_look(struct probes *probes, void (*accept_waiting)(void));

/* A connection that was meant for the canary of that family has been accepted. Returns true if it
 * is our own, of which nothing more is to come. */
bool probes_landed(struct probes *probes, int family, int accepted);

#endif
