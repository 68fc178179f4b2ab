#ifndef SETUP_ANSWER_H
#define SETUP_ANSWER_H

#include <stdbool.h>
#include <sys/types.h>

/* Waits until a child that has become the mitmproxy user answers on its pipe, or ends: that user
 * can stop it. False after so many milliseconds; the child is killed then. */
bool answer_is_there(int pipe, pid_t child, int limit_ms);

#endif
