#ifndef SETUP_RULES_COMPARE_H
#define SETUP_RULES_COMPARE_H

#include <stdio.h>

/* Compares two texts line by line (longest common subsequence) and prints each line of both to out,
 * in order: "ok", "MISSING" (only in wanted) or "EXTRA" (only in live). Returns how many are not
 * ok, or -1 when memory is out. */
int compare_lines(const char *wanted, const char *live, FILE *out);

#endif
