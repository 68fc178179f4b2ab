#ifndef HEALTHD_LINK_USAGE_H
#define HEALTHD_LINK_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* What a process uses. */
struct usage {
    bool asleep; /* it waits for something to happen */
    bool ended;  /* it has not been reaped yet */
    uint64_t resident_bytes;
    double cpu_seconds; /* user and system */
};

/* Reads it from proc(5), which needs no privilege. 0, or -1 where the process is gone. */
int usage_read(uint32_t pid, struct usage *usage);

#endif
