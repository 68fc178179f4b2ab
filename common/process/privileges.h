#ifndef COMMON_PROCESS_PRIVILEGES_H
#define COMMON_PROCESS_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/error.h"

/* True if the process may use the capability (linux/capability.h: CAP_NET_ADMIN ...) now. */
bool capability_held(int capability);

/* The capability's name as people write it ("CAP_NET_ADMIN"), for those that this project needs. */
const char *capability_name(int capability);

/* Gives up all capabilities for good, and nothing else: root owns its files without them. 0, or -1
 * with error (77). */
int capabilities_drop(struct error *error);

/* Becomes uid:gid for good: no supplementary groups, no capability in any set, no way back
 * (PR_SET_NO_NEW_PRIVS), and proves it. A process that is that user already and has no CAP_SETUID
 * only sheds what it can. The process is undumpable then, until it executes another program.
 * Returns 0, or -1 with error (77 and the missing capability); after -1 the process is in between
 * and must end. */
int privileges_drop(uid_t uid, gid_t gid, struct error *error);

#endif
