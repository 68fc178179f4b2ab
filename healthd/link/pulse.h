#ifndef HEALTHD_LINK_PULSE_H
#define HEALTHD_LINK_PULSE_H

#include <stdint.h>

#include "common/config/config.h"

/* What a worker counts (mitmscripts/worker.py), in the order in which its beat has it. */
enum count {
    COUNT_OPEN,                     /* connections of clients that are open now */
    COUNT_CONNECTIONS,              /* and how many there have been */
    COUNT_REQUESTS,                 /* requests that have come */
    COUNT_REFUSED,                  /* what admission.py has refused, by the kinds that it names: */
    COUNT_NON_HTTP = COUNT_REFUSED, /* a connection that is neither TLS nor HTTP */
    COUNT_TLS,                      /* a ClientHello that cannot be read */
    COUNT_REQUEST,                  /* a request that two parsers could understand differently */
    COUNT_VERSION,                  /* the origin speaks another version of HTTP than the client */
    COUNT_ADDON,                    /* an addon has failed, or broken the request */
    COUNTS
};

/* What changes all the time, in memory that the runner writes and the responder reads: a message
 * would wake the responder every second. Times are those of clock_ms. */
struct pulse {
    _Atomic int64_t runner_ms; /* when the runner last went round its loop */
    struct worker_pulse {
        _Atomic uint32_t pid;    /* 0: there is none */
        _Atomic int64_t beat_ms; /* when it last beat, 0 until its start is over */
        /* Of all mitmdumps that have been this worker; COUNT_OPEN of the present one. */
        _Atomic uint64_t counts[COUNTS];
    } workers[WORKERS_MAX];
};

#endif
