#ifndef HEALTHD_LINK_SIGNALS_H
#define HEALTHD_LINK_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* Blocks SIGCHLD, what orders to stop, and SIGUSR1 and SIGUSR2, which mean nothing here and would
 * end the process; nothing else. From then on they wait for their reader. */
void signals_block(void);

/* The same, and opens a descriptor (non-blocking) from which they are read. -1 with errno. */
int signals_open(void);

/* Whether the signal of that number orders to stop. */
bool signals_order_to_stop(uint32_t number);

#endif
