#ifndef SETUP_PREPARE_HANDOVER_H
#define SETUP_PREPARE_HANDOVER_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/config/config.h"

/* The confdir while root hands it over to the mitmproxy user. From then on root does nothing in
 * it. */
struct handover {
    int directory; /* -1: not there yet, or not to be entered */
    int ca;        /* a CA that the administrator has put there as root, or -1 */
};

/* Looks at what is there, and opens that CA without reading it. Changes nothing. 0, or -1 with
 * error. In both cases the caller closes it. */
int handover_look(struct handover *handover, const struct config *config, struct error *error);

/* Makes the confdir if it is missing, and hands it over to the mitmproxy user; with_ca that CA,
 * too. 0, or -1 with error. */
int confdir_hand_over(struct handover *handover, const struct config *config, bool with_ca,
                      struct error *error);

void handover_close(struct handover *handover);

#endif
