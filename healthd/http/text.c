#include "healthd/http/text.h"

#include <stdarg.h>
#include <stdio.h>

void text_add(struct text *text, const char *format, ...)
{
    size_t left = text->size - text->used;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text->at + text->used, left, format, args);
    va_end(args);
    if (length > 0)
        text->used += (size_t)length < left ? (size_t)length : left - 1;
}
