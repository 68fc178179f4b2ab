#ifndef COMMON_PRIVILEGES_H
#define COMMON_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

/* True if the process may use the capability (linux/capability.h: CAP_NET_ADMIN ...) now. */
bool capability_held(int capability);

/* The capability's name as people write it ("CAP_NET_ADMIN"), for those that this project needs. */
const char *capability_name(int capability);

/* Becomes uid:gid for good: no supplementary groups, no capability in any set, no way back
 * (PR_SET_NO_NEW_PRIVS), and proves it. A process that is that user already and has no CAP_SETUID
 * only sheds what it can. The process is undumpable then, until it executes another program.
 * Returns 0, or -1 with error (77 and the missing capability); after -1 the process is in between
 * and must end. */
int privileges_drop(uid_t uid, gid_t gid, struct error *error);

/* Who a process was that has become another user for a while. */
enum { LENT_GROUPS_MAX = 64 };
struct lent_privileges {
    uid_t uid;
    gid_t gid;
    int count; /* of groups; -1: nothing was changed */
    gid_t groups[LENT_GROUPS_MAX];
};

/* Opens and looks at files as uid:gid from now on, without supplementary groups and without a
 * capability in effect, until privileges_return. That user can neither send signals to the process
 * nor trace it: the process is undumpable then. For looking only: whoever takes such a process over
 * is root. A process that is that user already stays as it is. 0, or -1: then nothing is changed,
 * but that it may be undumpable. */
int privileges_lend(uid_t uid, gid_t gid, struct lent_privileges *lent);

/* The process is still undumpable after that. Ends it (abort(3)) where that fails. */
void privileges_return(const struct lent_privileges *lent);

#endif
