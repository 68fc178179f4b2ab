#ifndef HEALTHD_CANARY_PROBE_H
#define HEALTHD_CANARY_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/* The responder's own canary: a connection to the canary address every 10 s, every second while it
 * does not land. It counts when the server sees it arrive. */
struct canary_probe {
    int family; /* AF_INET or AF_INET6 */
    int fd;     /* -1: none under way */
    int64_t deadline_ms;
    bool lands;     /* the last one did */
    char error[96]; /* why it did not */
};

void canary_probe_init(struct canary_probe *probe, int family);

/* Begins one if it is due, ends one that is late. */
void canary_probe_tick(struct canary_probe *probe);

/* One has landed, whoever sent it. */
void canary_probe_landed(struct canary_probe *probe);

#endif
