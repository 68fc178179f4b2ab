#ifndef COMMON_CHARACTERS_H
#define COMMON_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>

/* Words from outside go on to logs, the state file, HTTP answers and terminals: each on one line,
 * and in UTF-8. */

/* A control character of ASCII. */
bool is_control(char c);

/* The length of the UTF-8 sequence that text begins with, 0 if that is none (RFC 3629, 4). */
size_t utf8_length(const char *text);

/* Puts blanks in the place of control characters, and "?" for each byte that is not UTF-8. */
void make_printable(char *text);

#endif
