/* A file of its own, because all other code depends on it. */
#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *error, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    error->status = status;
    return -1;
}

int error_prefix(struct error *error, const char *format, ...)
{
    char prefixed[sizeof(error->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(prefixed, sizeof(prefixed), format, args);
    va_end(args);
    strlcat(prefixed, ": ", sizeof(prefixed));
    strlcat(prefixed, error->text, sizeof(prefixed));
    strlcpy(error->text, prefixed, sizeof(error->text));
    return -1;
}
