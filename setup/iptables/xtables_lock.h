#ifndef SETUP_IPTABLES_XTABLES_LOCK_H
#define SETUP_IPTABLES_XTABLES_LOCK_H

#include "common/base/error.h"

/* Takes the lock that the iptables programs take with -w: /run/xtables.lock, or what
 * XTABLES_LOCKFILE names. Waits 10 s at most. Returns what xtables_unlock takes;
 * -1 with error when the time is over; -2 where there can be no lock file (a read-only root): the
 * work goes on without. */
int xtables_lock(struct error *error);
void xtables_unlock(int lock);

#endif
