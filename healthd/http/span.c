#include "healthd/http/span.h"

#include <string.h>
#include <strings.h>

bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.size && memcmp(span.at, text, span.size) == 0;
}

bool span_is_nocase(struct span span, const char *text)
{
    return strlen(text) == span.size && strncasecmp(span.at, text, span.size) == 0;
}

struct span span_trim(struct span span)
{
    while (span.size > 0 && (*span.at == ' ' || *span.at == '\t'))
        span.at++, span.size--;
    while (span.size > 0 && (span.at[span.size - 1] == ' ' || span.at[span.size - 1] == '\t'))
        span.size--;
    return span;
}

bool span_take_until(struct span *rest, char separator, struct span *taken)
{
    const char *end = memchr(rest->at, separator, rest->size);
    if (end == NULL)
        return false;
    *taken = (struct span){rest->at, (size_t)(end - rest->at)};
    rest->size -= taken->size + 1;
    rest->at = end + 1;
    return true;
}
