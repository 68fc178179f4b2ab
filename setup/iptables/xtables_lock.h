#ifndef SETUP_IPTABLES_XTABLES_LOCK_H
#define SETUP_IPTABLES_XTABLES_LOCK_H

#include "common/base/error.h"

/* Takes the lock that the iptables programs take with -w: /run/xtables.lock, or what
 * XTABLES_LOCKFILE names. Returns a lock for xtables_unlock; -1 with error after 10 s; -2 where
 * there can be no lock file (a read-only root): then the work goes on without it. */
int xtables_lock(struct error *error);
void xtables_unlock(int lock);

#endif
