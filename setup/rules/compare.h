#ifndef SETUP_RULES_COMPARE_H
#define SETUP_RULES_COMPARE_H

#include <stdio.h>

/* Compares two texts line by line and prints each line of both to out, in order: "ok", "MISSING"
 * (wanted, but not in live after the previous match), "EXTRA" (live, and not wanted at its place).
 * Returns how many are not ok. */
int compare_lines(const char *wanted, const char *live, FILE *out);

#endif
