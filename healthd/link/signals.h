#ifndef HEALTHD_LINK_SIGNALS_H
#define HEALTHD_LINK_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* Blocks SIGCHLD, the signals that order to stop, and SIGUSR1 and SIGUSR2, which mean nothing here
 * and would end the process. Unblocks all others. Blocked signals wait until they are read. */
void signals_block(void);

/* The same, and opens a descriptor (non-blocking) from which they are read. -1 with errno. */
int signals_open(void);

/* Does this signal order to stop? */
bool signals_order_to_stop(uint32_t number);

#endif
