#ifndef HEALTHD_RUNNER_BACKOFF_H
#define HEALTHD_RUNNER_BACKOFF_H

#include <stdint.h>

/* How long to wait before the next start after so many failures in a row: nothing after the first
 * one, then 1 s doubling to 30 s, and up to a tenth more or less, so that many pods which failed
 * together do not start together. In milliseconds. */
int64_t backoff_ms(unsigned int failures);

#endif
