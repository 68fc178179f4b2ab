#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What every harness has, under the name that libFuzzer and AFL++ call it by: takes one input,
 * returns 0, and does not return if an invariant is broken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An invariant. Unlike assert(3) it is there in every build. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
