#ifndef COMMON_CONFIG_USER_H
#define COMMON_CONFIG_USER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum { USER_NAME_SIZE = 64 };

/* 4294967295 is (uid_t)-1, which the set*id calls take for "leave it as it is": the process would
 * stay root. */
#define UID_NUMBER_MAX 4294967294LL

/* A user as the configuration names it. */
struct user {
    char name[USER_NAME_SIZE]; /* as given: a name, or "uid" or "uid:gid" */
    bool known;                /* a number, or a name that the user database has */
    uid_t uid;
    gid_t gid;
    char home[PATH_MAX]; /* "" where there is none */
};

/* Fills user from a name or from uid[:gid], numbers from 0 to 4294967294. Without gid it takes the
 * group in the user database, or else the uid's number. A name that the database lacks is no error
 * here: then known is false. Returns 0, or -1 with a constant in *reason. */
int user_parse(const char *text, struct user *user, const char **reason);

/* Fills home, which user_parse leaves empty for "uid:gid", because asking the user database can
 * take longer than all the rest of a start. */
void user_find_home(struct user *user);

#endif
