#ifndef SETUP_REDIRECT_CONNECTIONS_H
#define SETUP_REDIRECT_CONNECTIONS_H

#include "setup/rules/rules.h"

/* Closes the TCP connections of this namespace that the set would have redirected or refused: they
 * were opened before its rules came, which look at the beginning of a connection only. With
 * OTHER_TRAFFIC=reject, what servers of the pod have accepted goes on. Logs how many were
 * closed, and how many go on because the kernel cannot close them (CONFIG_INET_DIAG_DESTROY). */
void close_connections(const struct ruleset *set);

#endif
