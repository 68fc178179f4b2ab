#ifndef COMMON_BASE_ERROR_H
#define COMMON_BASE_ERROR_H

#include <sysexits.h>

/* What went wrong, in words, and the exit status that it calls for (sysexits.h, or 1). The caller
 * owns the struct; functions that take one write it only when they fail. */
struct error {
    int status;
    char text[512];
};

/* Fills error and returns -1, so that a function can `return error_set(...)`. Too long a text is
 * cut. */
int error_set(struct error *error, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the text and returns -1. */
int error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
