#ifndef HEALTHD_SIGNALS_H
#define HEALTHD_SIGNALS_H

/* Blocks SIGTERM, SIGINT and SIGCHLD, and nothing else: from then on they wait for their reader. */
void signals_block(void);

/* The same, and opens a descriptor (non-blocking) from which they are read. -1 with errno. */
int signals_open(void);

#endif
