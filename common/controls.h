#ifndef COMMON_CONTROLS_H
#define COMMON_CONTROLS_H

#include <stdbool.h>

/* Control characters of ASCII, which words from outside may hold: they go on to logs, the state
 * file and terminals, and stand on one line each. */
bool is_control(char c);

/* Puts blanks in their place. */
void blank_controls(char *text);

#endif
