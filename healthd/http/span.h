#ifndef HEALTHD_HTTP_SPAN_H
#define HEALTHD_HTTP_SPAN_H

#include <stdbool.h>
#include <stddef.h>

/* A stretch of a request, which belongs to whoever has read that. No NUL is at its end. */
struct span {
    const char *at;
    size_t size;
};

bool span_is(struct span span, const char *text);
bool span_is_nocase(struct span span, const char *text);

/* Without spaces and tabs at either end. */
struct span span_trim(struct span span);

/* Takes what is before the first separator, and that, off rest. False, with nothing changed, if
 * there is none. */
bool span_take_until(struct span *rest, char separator, struct span *taken);

#endif
