#ifndef SETUP_CA_GIVE_H
#define SETUP_CA_GIVE_H

#include "common/config.h"
#include "common/error.h"

/* Makes the confdir and gives it to the mitmproxy user, with a CA that root has put there: from
 * then on root has no business in it. 0, or -1 with error. */
int give_confdir(const struct config *config, struct error *error);

#endif
