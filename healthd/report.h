#ifndef HEALTHD_REPORT_H
#define HEALTHD_REPORT_H

#include <stdint.h>

#include "common/state.h"

/* What the runner tells the responder about mitmdump, one packet for each change, over the socket
 * pair between them. The other way goes only its end: that is the order to stop. */
struct report {
    enum mitm_state state;
    uint32_t pid;
    uint32_t restarts;
    uint32_t inodes[2]; /* of the listening sockets, IPv4 and IPv6, as sock_diag tells them; 0 while
                           there is none */
    char error[STATE_ERROR_SIZE];
};

#endif
