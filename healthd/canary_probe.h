#ifndef HEALTHD_CANARY_PROBE_H
#define HEALTHD_CANARY_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The responder's own canary: a connection to the canary address every 10 s, every second while it
 * does not land. It counts when the server sees it arrive. */
struct canary_probe {
    int fd; /* -1: none under way */
    int64_t deadline_ms;
};

void canary_probe_init(struct canary_probe *probe);

/* Begins one if it is due, ends one that is late. False if one has just failed, with the reason. */
bool canary_probe_tick(struct canary_probe *probe, char *why, size_t size);

/* One has landed. */
void canary_probe_landed(struct canary_probe *probe);

#endif
