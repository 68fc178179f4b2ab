#ifndef SETUP_STATUS_BYSTANDERS_H
#define SETUP_STATUS_BYSTANDERS_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Whatever runs as the mitmproxy user is exempt from the redirect and can read the key. Prints a
 * warning for each process of that uid in this network namespace that is neither mitmdump (its pid,
 * 0 for none) and what it has started, nor healthd, nor the caller and those who have called it, as
 * far as proc(5) shows them. */
void bystanders_print(uid_t uid, uint32_t mitmdump, FILE *out);

#endif
