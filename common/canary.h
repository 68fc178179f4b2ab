#ifndef COMMON_CANARY_H
#define COMMON_CANARY_H

#include <stdbool.h>

/* The canary: an address on loopback that nobody uses, which the first redirect rule sends to the
 * health port. A connection to it that arrives there proves that the rules are live, without a
 * privilege and without a packet outside. */
#define CANARY_ADDRESS "127.0.0.2"
enum { CANARY_PORT = 9 };

/* What healthd adds to an answer on a connection that came by the canary. */
#define CANARY_HEADER "X-OpenSandbox-Canary: 127.0.0.2:9"

/* Was this accepted connection meant for the canary before it was redirected? */
bool canary_is_original_destination(int accepted);

#endif
