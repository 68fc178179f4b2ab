#ifndef SETUP_RECORD_DIRECTORY_H
#define SETUP_RECORD_DIRECTORY_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/error.h"

/* What a directory of the project's has to be. */
struct claim {
    const char *what;     /* for messages: "confdir" */
    const char *variable; /* the one that names it, without prefix */
    const char *path;
    uid_t uid;   /* owner, or (uid_t)-1 for the caller */
    gid_t gid;   /* group, or (gid_t)-1 for any */
    mode_t mode; /* the mode that it gets */
    bool (*is_ours)(const struct claim *claim, const char *name); /* may that file be in it? */
    const char *file; /* for is_ours: the name of the file that the directory is for, or NULL */
};

/* May the open directory get owner, group and mode of the claim? If it does not have them yet, it
 * must be root's or the caller's and hold nothing foreign, so that a mistyped path never gives /etc
 * away. Changes nothing. 0, or -1 with error (78). */
int claim_check(int directory, const struct claim *claim, struct error *error);

/* Checks, and gives the directory owner, group and mode. 0, or -1 with error. */
int claim_directory(int directory, const struct claim *claim, struct error *error);

#endif
