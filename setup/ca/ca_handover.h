#ifndef SETUP_CA_CA_HANDOVER_H
#define SETUP_CA_CA_HANDOVER_H

#include "common/config.h"
#include "common/error.h"

/* Makes the confdir and hands it over to the mitmproxy user, with a CA that root has put there:
 * from then on root has no business in it. 0, or -1 with error. */
int confdir_hand_over(const struct config *config, struct error *error);

#endif
