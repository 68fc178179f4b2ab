#include "healthd/settle.h"

#include "healthd/clock.h"
#include "healthd/usage.h"

enum { LEAST_MS = 1000, QUIET_MS = 500, MOST_MS = 10 * 1000 };

bool settle_look(struct settle *settle, pid_t pid, bool tells)
{
    struct usage usage;
    int64_t now = clock_ms();
    bool known = usage_read((uint32_t)pid, &usage) == 0;
    if (settle->since_ms == 0)
        settle->since_ms = now;
    if (!known || !usage.asleep || usage.cpu_seconds > settle->cpu_seconds) {
        settle->quiet_since_ms = now;
        settle->cpu_seconds = known ? usage.cpu_seconds : 0;
    }
    int64_t listening_ms = now - settle->since_ms;
    return listening_ms >= MOST_MS ||
           (!tells && listening_ms >= LEAST_MS && now - settle->quiet_since_ms >= QUIET_MS);
}
