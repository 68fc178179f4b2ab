#include "common/process/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's 64-bit capability interface, version 3 (capget(2)): two 32-bit words a set. */
struct capabilities {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct sets[2];
};

static int capabilities_read(struct capabilities *now)
{
    memset(now, 0, sizeof(*now));
    now->header.version = _LINUX_CAPABILITY_VERSION_3;
    return (int)syscall(SYS_capget, &now->header, now->sets);
}

bool capability_held(int capability)
{
    struct capabilities now;
    if (capabilities_read(&now) != 0)
        return false;
    return (now.sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

const char *capability_name(int capability)
{
    switch (capability) {
    case CAP_CHOWN:
        return "CAP_CHOWN";
    case CAP_SETUID:
        return "CAP_SETUID";
    case CAP_SETGID:
        return "CAP_SETGID";
    case CAP_NET_ADMIN:
        return "CAP_NET_ADMIN";
    case CAP_NET_RAW:
        return "CAP_NET_RAW";
    default:
        return "a capability";
    }
}

/* Without CAP_SETPCAP (a container that drops all but a few) the bounding set cannot be emptied;
 * no_new_privs makes what is left in it unreachable. */
static int bounding_set_drop(struct error *error)
{
    if (!capability_held(CAP_SETPCAP))
        return 0;
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return error_set(error, EX_NOPERM, "drop capability %d from the bounding set: %s",
                             capability, strerror(errno));
    return 0;
}

static int identity_change(uid_t uid, gid_t gid, struct error *error)
{
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0)
        return error_set(error, EX_NOPERM, "become gid %u: %s (needs CAP_SETGID)", gid,
                         strerror(errno));
    if (setresuid(uid, uid, uid) != 0)
        return error_set(error, EX_NOPERM, "become uid %u: %s (needs CAP_SETUID)", uid,
                         strerror(errno));
    return 0;
}

static int capabilities_clear(struct error *error)
{
    struct capabilities none = {.header.version = _LINUX_CAPABILITY_VERSION_3};
    if (syscall(SYS_capset, &none.header, none.sets) != 0)
        return error_set(error, EX_NOPERM, "clear capabilities: %s", strerror(errno));
    /* EINVAL: a kernel before 4.3, which has no ambient set to clear. */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return error_set(error, EX_NOPERM, "clear ambient capabilities: %s", strerror(errno));
    return 0;
}

static bool capabilities_are_empty(void)
{
    struct capabilities now;
    if (capabilities_read(&now) != 0)
        return false;
    for (int i = 0; i < 2; i++)
        if ((now.sets[i].effective | now.sets[i].permitted | now.sets[i].inheritable) != 0)
            return false;
    return true;
}

int capabilities_drop(struct error *error)
{
    /* The bounding set MUST be first: dropping from it needs CAP_SETPCAP. */
    if (bounding_set_drop(error) != 0 || capabilities_clear(error) != 0)
        return -1;
    /* MUST be set before anything is executed: root would get back what is in the bounding set. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(error, EX_NOPERM, "set no_new_privs: %s", strerror(errno));
    if (!capabilities_are_empty())
        return error_set(error, EX_NOPERM, "privilege drop: capabilities are left");
    return 0;
}

static bool identity_is(uid_t uid, gid_t gid)
{
    uid_t real_uid, effective_uid, saved_uid;
    gid_t real_gid, effective_gid, saved_gid;
    if (getresuid(&real_uid, &effective_uid, &saved_uid) != 0 ||
        getresgid(&real_gid, &effective_gid, &saved_gid) != 0)
        return false;
    return real_uid == uid && effective_uid == uid && saved_uid == uid && real_gid == gid &&
           effective_gid == gid && saved_gid == gid;
}

/* Does not trust a call that returned 0: bugs in wrappers and user namespaces have made such calls
 * do nothing before. */
static int drop_prove(uid_t uid, gid_t gid, bool groups_dropped, struct error *error)
{
    if (!identity_is(uid, gid))
        return error_set(error, EX_NOPERM, "privilege drop: still not uid %u gid %u", uid, gid);
    if (groups_dropped && getgroups(0, NULL) != 0)
        return error_set(error, EX_NOPERM, "privilege drop: supplementary groups are left");
    if (!capabilities_are_empty())
        return error_set(error, EX_NOPERM, "privilege drop: capabilities are left");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return error_set(error, EX_NOPERM, "privilege drop: no_new_privs is not set");
    if (setresuid(0, 0, 0) == 0)
        return error_set(error, EX_NOPERM, "privilege drop: root can be had back");
    return 0;
}

/* Keeps a key in memory from cores and debuggers. MUST come after each change of the effective ids,
 * at which the kernel resets this to fs.suid_dumpable. If that is 2 and core_pattern is a pipe, a
 * core is made whatever RLIMIT_CORE says (core(5)). */
static int become_undumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int privileges_drop(uid_t uid, gid_t gid, struct error *error)
{
    bool can_change = capability_held(CAP_SETUID) || geteuid() != uid;

    /* MUST come before the uid changes: that clears CAP_SETPCAP. */
    if (bounding_set_drop(error) != 0)
        return -1;
    /* MUST be groups, then gid, then uid: each needs what the next one takes away. */
    if (can_change && identity_change(uid, gid, error) != 0)
        return -1;
    /* MUST be explicit: a process that was not root before keeps its sets across setresuid. */
    if (capabilities_clear(error) != 0)
        return -1;
    /* MUST be set before anything is executed: set-user-ID programs would give privileges back. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(error, EX_NOPERM, "set no_new_privs: %s", strerror(errno));
    /* MUST come after the ids have changed. */
    if (become_undumpable() != 0)
        return error_set(error, 1, "make this process undumpable: %s", strerror(errno));
    return drop_prove(uid, can_change ? gid : getegid(), can_change, error);
}
