#ifndef TESTS_FUZZ_CONFIG_LOG_H
#define TESTS_FUZZ_CONFIG_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* What is logged between log_begin() and log_end(), instead of standard error's. */
void log_begin(void);
void log_end(void);

/* How many lines there are of that level. Checks that every line is whole and harmless. */
size_t log_count(const char *level, bool json);

/* Does a line complain of that variable's value? */
bool log_complains_of(const char *name, bool json);

#endif
