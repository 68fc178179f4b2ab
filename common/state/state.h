#ifndef COMMON_STATE_STATE_H
#define COMMON_STATE_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/kernel/namespace.h"

/* The state file: what setup and healthd tell each other, and people. Text, one "key=value" per
 * line, "version=1" first. Only text.c knows the format. */

enum setup_state { SETUP_UNKNOWN, SETUP_RUNNING, SETUP_READY, SETUP_FAILED, SETUP_DISABLED };
enum mitm_state {
    MITM_UNKNOWN,
    MITM_STARTING,
    MITM_LISTENING,
    MITM_DOWN,
    MITM_BACKOFF,
    MITM_STOPPING
};

enum {
    STATE_TEXT_MAX = 8192, /* of the whole file, more than all keys together need */
    STATE_ERROR_SIZE = 384,
    STATE_SHA256_SIZE = 65,
    STATE_WORD_SIZE = 16
};

struct state {
    /* setup's half */
    enum setup_state setup;
    char setup_error[STATE_ERROR_SIZE];
    char netns[NAMESPACE_ID_SIZE];
    char boot[NAMESPACE_ID_SIZE];
    char backend[STATE_WORD_SIZE];          /* the one that holds the rules, "" for none */
    char gate[STATE_ERROR_SIZE];            /* devices at which the gate stands, separated by "," */
    char gate_error[STATE_ERROR_SIZE];      /* why there is none, "" for no reason */
    uint32_t rules;                         /* how many are installed, 0 for none */
    uint32_t port;                          /* where the rules redirect to, if rules > 0 */
    uint32_t user;                          /* the uid that the rules let through, if rules > 0 */
    char ca[STATE_WORD_SIZE];               /* "exported", or "" */
    char ca_sha256[STATE_SHA256_SIZE];      /* of the exported certificate, lower-case hex */
    char ca_file_sha256[STATE_SHA256_SIZE]; /* of the file with the key that setup has checked */
    int64_t ca_expires;                     /* seconds since 1970, 0 where not known */
    int64_t setup_time;                     /* seconds since 1970, of the last write of this half */
    /* healthd's half */
    enum mitm_state mitm;
    uint32_t mitm_pid;
    uint32_t mitm_restarts;
    char mitm_error[STATE_ERROR_SIZE];
    int64_t mitm_time;
};

enum state_half { STATE_SETUP, STATE_MITM };

const char *setup_state_name(enum setup_state state);
const char *mitm_state_name(enum mitm_state state);

/* Reads and checks the whole file, which must belong to root, to the caller or to owner. Returns 0,
 * or -1 with error and errno (ENOENT if there is none); state is all zero then. */
int state_read(const char *path, uid_t owner, struct state *state, struct error *error);

/* The open directory and the name of the state file, for callers that use it several times in a
 * row. */
struct state_place {
    int directory; /* -1 for none */
    const char *name;
    const char *path;
    uid_t owner; /* who may own the file, besides root and the caller */
};

/* As state_read. */
int state_read_at(const struct state_place *place, struct state *state, struct error *error);

/* Makes the writers' lock file beside the state file, for the caller and the group (-1 for none).
 * 0, also if it exists already, or -1 with error. */
int state_make_lock(const struct state_place *place, gid_t gid, struct error *error);

/* Writes one half of the file from state, with the current time, and keeps the other half that is
 * in the file. A file that cannot be read is begun anew. The directory must exist. */
int state_write(const char *path, uid_t owner, enum state_half half, const struct state *state,
                struct error *error);
int state_write_at(const struct state_place *place, enum state_half half, const struct state *state,
                   struct error *error);

/* Parses a state file's text of size bytes. Returns 0, or -1 with error; state is all zero then. */
int state_parse(const char *text, size_t size, struct state *state, struct error *error);

/* Writes a state file's text. Returns its size, without the NUL behind it, or 0 with errno. */
size_t state_format(const struct state *state, char text[static STATE_TEXT_MAX]);

/* Makes the state say that no rules of ours are there. */
void state_forget_rules(struct state *state);

/* 0 if setup wrote its half in this network namespace and since this boot; otherwise -1 and why. */
int state_check_current(const struct state *state, struct error *error);

#endif
