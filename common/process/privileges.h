#ifndef COMMON_PROCESS_PRIVILEGES_H
#define COMMON_PROCESS_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/error.h"

/* True if the process may use the capability (linux/capability.h: CAP_NET_ADMIN ...) now. */
bool capability_held(int capability);

/* The capability's name as people write it ("CAP_NET_ADMIN"), for those that this project needs. */
const char *capability_name(int capability);

/* Gives up all capabilities for good, but stays root, who owns its files without them. 0, or -1
 * with error (77). */
int capabilities_drop(struct error *error);

/* Becomes uid:gid for good and proves it: no supplementary groups, no capability in any set, no way
 * back (PR_SET_NO_NEW_PRIVS). A process that is that user already and has no CAP_SETUID only drops
 * what it can. The process is then undumpable until it executes a program. Returns 0, or -1 with
 * error (77 and the missing capability): then privileges are half dropped, and the process must
 * end. */
int privileges_drop(uid_t uid, gid_t gid, struct error *error);

#endif
