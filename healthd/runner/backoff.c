/* A file of its own, because launcher and workers share it. */
#include "healthd/runner/backoff.h"

#include <stdlib.h>

/* Tests of many restarts build with shorter ones: make CFLAGS=-DBACKOFF_MAX_MS=... */
#ifndef BACKOFF_FIRST_MS
#define BACKOFF_FIRST_MS 1000
#endif
#ifndef BACKOFF_MAX_MS
#define BACKOFF_MAX_MS (30 * 1000)
#endif

static int64_t with_jitter(int64_t delay)
{
    int64_t most = delay / 10;
    return delay - most + arc4random_uniform((uint32_t)(2 * most + 1));
}

int64_t backoff_ms(unsigned int failures)
{
    int64_t delay = BACKOFF_FIRST_MS;
    if (failures <= 1)
        return 0;
    for (unsigned int i = 2; i < failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    delay = with_jitter(delay);
    return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}
