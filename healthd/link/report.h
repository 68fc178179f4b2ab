#ifndef HEALTHD_LINK_REPORT_H
#define HEALTHD_LINK_REPORT_H

#include <stdint.h>

#include "common/state/state.h"

/* Why a mitmdump had to be started again. */
enum restart_cause {
    CAUSE_NONE = -1,
    CAUSE_EXITED,
    CAUSE_KILLED,        /* by a signal that was not ours */
    CAUSE_HUNG,          /* it accepted no connection any more */
    CAUSE_START_TIMEOUT, /* it never listened */
    CAUSE_CA_CHANGED,    /* setup has put another CA in place */
    CAUSE_NOT_STARTED,   /* something that it needs was not there */
    CAUSES
};

/* What mitmscripts/admission.py has refused, by the kinds that it names. */
enum refusal {
    REFUSED_NON_HTTP, /* a connection that is neither TLS nor HTTP */
    REFUSED_TLS,      /* a ClientHello that cannot be read */
    REFUSED_REQUEST,  /* one that two parsers could understand differently */
    REFUSED_VERSION,  /* the origin speaks another version of HTTP than the client */
    REFUSED_ADDON,    /* an addon has failed, or broken the request */
    REFUSALS
};

/* What the runner tells the responder about mitmdump, one packet for each change, over the socket
 * pair between them. Nothing is sent the other way: its end is the order to stop. */
struct report {
    enum mitm_state state;
    uint32_t pid;
    uint32_t restarts[CAUSES];
    uint32_t start_ms;  /* how long the last start took until it listened, 0 for none yet */
    uint32_t inodes[2]; /* of the listening sockets, IPv4 and IPv6, as sock_diag tells them; 0 while
                           there is none */
    uint32_t state_write_failures;
    uint32_t refused[REFUSALS];
    int64_t waiting_since_ms; /* clock_ms since when every look has found connections that wait
                                 to be accepted; 0 for none */
    char error[STATE_ERROR_SIZE];
    char ca_error[STATE_ERROR_SIZE]; /* what is wrong with the CA's file, "" for nothing */
};

/* Sets the state and its reason ("" for none, NULL keeps the old one). In another state than
 * MITM_LISTENING, what is only known of a listening mitmdump is forgotten. */
void report_state(struct report *report, enum mitm_state state, const char *why);

#endif
