#ifndef SETUP_RULES_NAMESERVERS_H
#define SETUP_RULES_NAMESERVERS_H

#include <arpa/inet.h>
#include <stddef.h>

/* As many as the C library asks (MAXNS in resolv.h). */
enum { NAMESERVERS_MAX = 3 };

/* Reads the addresses of the nameservers in /etc/resolv.conf (resolv.conf(5)), without a scope.
 * Returns how many there are; 0 also if there is no such file. */
size_t nameservers_read(char addresses[NAMESERVERS_MAX][INET6_ADDRSTRLEN]);

#endif
