#ifndef COMMON_BASE_CHARACTERS_H
#define COMMON_BASE_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text from outside ends up in logs, the state file, HTTP answers and terminals. There it must be
 * on one line and in UTF-8. */

/* The length of the UTF-8 sequence at the start of text, 0 if it is not valid (RFC 3629, 4). */
size_t utf8_length(const char *text);

/* The code point of a valid sequence, whose length utf8_length has returned. */
uint32_t utf8_code(const char *text, size_t length);

/* Is this a code that a terminal does not show as a character: a control character (U+0080 to
 * U+009F, too), an invisible one, or one that begins a line or turns the direction of text? */
bool is_unprintable(uint32_t code);

/* Replaces each byte of an unprintable character by a blank, and each byte that is not UTF-8 by
 * "?". */
void make_printable(char *text);

/* Would make_printable change nothing? */
bool is_printable(const char *text);

#endif
