#ifndef COMMON_BASE_CHARACTERS_H
#define COMMON_BASE_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words from outside go on to logs, the state file, HTTP answers and terminals: each on one line,
 * and in UTF-8. */

/* The length of the UTF-8 sequence that text begins with, 0 if that is none (RFC 3629, 4). */
size_t utf8_length(const char *text);

/* The code point of a sequence of that length. */
uint32_t utf8_code(const char *text, size_t length);

/* What a terminal would not show as a character of the line: it obeys it (control characters, also
 * those from U+0080 to U+009F), turns the direction of what follows, begins a line, or shows
 * nothing. */
bool is_unprintable(uint32_t code);

/* Puts blanks in the place of what is unprintable, one for each byte, and "?" for each byte that is
 * not UTF-8. */
void make_printable(char *text);

/* Would make_printable change nothing? */
bool is_printable(const char *text);

#endif
