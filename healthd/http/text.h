#ifndef HEALTHD_HTTP_TEXT_H
#define HEALTHD_HTTP_TEXT_H

#include <stddef.h>

/* A text that is put together piece by piece in memory of fixed size; what does not fit is cut. */
struct text {
    char *at;
    size_t size; /* of the memory, a NUL included */
    size_t used;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
