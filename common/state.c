#include "common/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"

enum { LOCK_WAIT_MS = 1000 };

static const char version_line[] = "version=1";

static const char *const setup_names[] = {"unknown", "running",  "ready",
                                          "failed",  "disabled", NULL};
static const char *const mitm_names[] = {"unknown", "starting", "listening", "down",
                                         "backoff", "stopping", NULL};

enum kind { KIND_WORD, KIND_TEXT, KIND_NUMBER, KIND_TIME };

/* One row a key: reader and writer are both driven by this table, in this order. */
static const struct key {
    const char *name;
    enum state_half half;
    enum kind kind;
    size_t offset;
    size_t size;              /* KIND_TEXT: of the array */
    const char *const *words; /* KIND_WORD: the values, by number */
} keys[] = {
#define TEXT(member) KIND_TEXT, offsetof(struct state, member), sizeof(((struct state *)0)->member)
    {"setup.state", STATE_SETUP, KIND_WORD, offsetof(struct state, setup), 0, setup_names},
    {"setup.error", STATE_SETUP, TEXT(setup_error), NULL},
    {"setup.netns", STATE_SETUP, TEXT(netns), NULL},
    {"setup.boot", STATE_SETUP, TEXT(boot), NULL},
    {"setup.backend", STATE_SETUP, TEXT(backend), NULL},
    {"setup.rules", STATE_SETUP, KIND_NUMBER, offsetof(struct state, rules), 0, NULL},
    {"setup.port", STATE_SETUP, KIND_NUMBER, offsetof(struct state, port), 0, NULL},
    {"setup.user", STATE_SETUP, KIND_NUMBER, offsetof(struct state, user), 0, NULL},
    {"setup.ca", STATE_SETUP, TEXT(ca), NULL},
    {"setup.ca_sha256", STATE_SETUP, TEXT(ca_sha256), NULL},
    {"setup.ca_file_sha256", STATE_SETUP, TEXT(ca_file_sha256), NULL},
    {"setup.ca_expires", STATE_SETUP, KIND_TIME, offsetof(struct state, ca_expires), 0, NULL},
    {"setup.time", STATE_SETUP, KIND_TIME, offsetof(struct state, setup_time), 0, NULL},
    {"mitm.state", STATE_MITM, KIND_WORD, offsetof(struct state, mitm), 0, mitm_names},
    {"mitm.pid", STATE_MITM, KIND_NUMBER, offsetof(struct state, mitm_pid), 0, NULL},
    {"mitm.restarts", STATE_MITM, KIND_NUMBER, offsetof(struct state, mitm_restarts), 0, NULL},
    {"mitm.error", STATE_MITM, TEXT(mitm_error), NULL},
    {"mitm.time", STATE_MITM, KIND_TIME, offsetof(struct state, mitm_time), 0, NULL},
#undef TEXT
};
enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

/* The words' enums are read and written through int. */
_Static_assert(sizeof(enum setup_state) == sizeof(int), "enum of another size");
_Static_assert(sizeof(enum mitm_state) == sizeof(int), "enum of another size");

const char *setup_state_name(enum setup_state state)
{
    return setup_names[state];
}

const char *mitm_state_name(enum mitm_state state)
{
    return mitm_names[state];
}

/* Neither written nor read in a value: values stand on one line each, and go on to terminals. */
static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool has_control(const char *text)
{
    while (*text != '\0' && !is_control(*text))
        text++;
    return *text != '\0';
}

static void blank_controls(char *text)
{
    for (; *text != '\0'; text++)
        if (is_control(*text))
            *text = ' ';
}

static const struct key *key_find(const char *name, size_t length)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strlen(keys[i].name) == length && memcmp(keys[i].name, name, length) == 0)
            return &keys[i];
    return NULL;
}

static int parse_word(const struct key *key, const char *value, void *field)
{
    for (int i = 0; key->words[i] != NULL; i++)
        if (strcmp(key->words[i], value) == 0) {
            *(int *)field = i;
            return 0;
        }
    return -1;
}

/* As it is written: strtonum alone would take "+1" and " 1" too. */
static bool is_numeric(const struct key *key)
{
    return key->kind == KIND_NUMBER || key->kind == KIND_TIME;
}

static int parse_value(const struct key *key, const char *value, struct state *state)
{
    const char *reason = NULL;
    void *field = (char *)state + key->offset;
    if (has_control(value) || (is_numeric(key) && value[strspn(value, "0123456789")] != '\0'))
        return -1;
    switch (key->kind) {
    case KIND_WORD:
        return parse_word(key, value, field);
    case KIND_TEXT:
        return strlcpy(field, value, key->size) < key->size ? 0 : -1;
    case KIND_NUMBER:
        *(uint32_t *)field = (uint32_t)strtonum(value, 0, UINT32_MAX, &reason);
        return reason == NULL ? 0 : -1;
    case KIND_TIME:
        *(int64_t *)field = strtonum(value, 0, INT64_MAX, &reason);
        return reason == NULL ? 0 : -1;
    }
    return -1;
}

static int parse_line(char *line, int number, uint32_t *seen, struct state *state,
                      struct error *error)
{
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return error_set(error, 1, "line %d: no \"=\"", number);
    const struct key *key = key_find(line, (size_t)(equals - line));
    if (key == NULL)
        return error_set(error, 1, "line %d: unknown key \"%.40s\"", number, line);
    if ((*seen & (1U << (key - keys))) != 0)
        return error_set(error, 1, "line %d: second \"%s\"", number, key->name);
    *seen |= 1U << (key - keys);
    if (parse_value(key, equals + 1, state) != 0)
        return error_set(error, 1, "line %d: bad value \"%.40s\" of %s", number, equals + 1,
                         key->name);
    return 0;
}

static int parse_lines(char *text, struct state *state, struct error *error)
{
    uint32_t seen = 0;
    int number = 0;
    while (*text != '\0') {
        char *end = strchr(text, '\n');
        if (end == NULL)
            return error_set(error, 1, "the last line is torn");
        *end = '\0';
        if (++number == 1 && strcmp(text, version_line) != 0)
            return error_set(error, 1, "line 1: \"%.40s\", expected \"%s\"", text, version_line);
        if (number > 1 && parse_line(text, number, &seen, state, error) != 0)
            return -1;
        text = end + 1;
    }
    return number > 0 ? 0 : error_set(error, 1, "empty");
}

int state_parse(const char *text, size_t size, struct state *state, struct error *error)
{
    memset(state, 0, sizeof(*state));
    if (memchr(text, '\0', size) != NULL)
        return error_set(error, 1, "a NUL byte");
    char *copy = strndup(text, size);
    if (copy == NULL)
        return error_set(error, 1, "%s", strerror(errno));
    int result = parse_lines(copy, state, error);
    free(copy);
    if (result != 0) {
        memset(state, 0, sizeof(*state));
        blank_controls(error->text); /* it quotes the file */
    }
    return result;
}

static int read_from(int directory, const char *name, const char *path, uid_t owner,
                     struct state *state, struct error *error)
{
    const struct file_limits limits = {.max_size = STATE_TEXT_MAX, .owner = owner};
    size_t size;
    memset(state, 0, sizeof(*state));
    char *text = file_read(directory, name, &limits, path, &size, error);
    if (text == NULL)
        return -1;
    int result = state_parse(text, size, state, error);
    free(text);
    if (result != 0) {
        error_prefix(error, "%s", path);
        errno = EINVAL;
    }
    return result;
}

int state_read(const char *path, uid_t owner, struct state *state, struct error *error)
{
    const char *name;
    memset(state, 0, sizeof(*state));
    errno = 0;
    int directory = directory_of(path, &name, error);
    if (directory < 0)
        return -1;
    int result = read_from(directory, name, path, owner, state, error);
    int reason = errno;
    close(directory);
    errno = reason;
    return result;
}

static void print_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        fputc(is_control(*text) ? ' ' : *text, out);
}

static void print_key(FILE *out, const struct key *key, const struct state *state)
{
    const void *field = (const char *)state + key->offset;
    fprintf(out, "%s=", key->name);
    if (key->kind == KIND_WORD)
        fputs(key->words[*(const int *)field], out);
    else if (key->kind == KIND_TEXT)
        print_text(out, field);
    else if (key->kind == KIND_NUMBER)
        fprintf(out, "%" PRIu32, *(const uint32_t *)field);
    else
        fprintf(out, "%" PRId64, *(const int64_t *)field);
    fputc('\n', out);
}

size_t state_format(const struct state *state, char text[static STATE_TEXT_MAX])
{
    FILE *out = fmemopen(text, STATE_TEXT_MAX, "w");
    if (out == NULL)
        return 0;
    fprintf(out, "%s\n", version_line);
    for (size_t i = 0; i < KEY_COUNT; i++)
        print_key(out, &keys[i], state);
    long size = ftell(out);
    fclose(out);
    return (size_t)size;
}

/* Not forced to disk: after a crash of the machine it is stale in any case. */
static int write_to(int directory, const char *name, const char *path, const struct state *state,
                    struct error *error)
{
    char text[STATE_TEXT_MAX];
    size_t size = state_format(state, text);
    if (size == 0)
        return error_set(error, 1, "%s: %s", path, strerror(errno));
    const struct file_content content = {path, text, size, 0644, false};
    return file_replace(directory, name, &content, error);
}

static void copy_half(struct state *to, enum state_half half, const struct state *from)
{
    const size_t border = offsetof(struct state, mitm);
    if (half == STATE_SETUP) {
        memcpy(to, from, border);
        to->setup_time = time(NULL);
    } else {
        memcpy((char *)to + border, (const char *)from + border, sizeof(*to) - border);
        to->mitm_time = time(NULL);
    }
}

/* The lock is a file of root's and the mitmproxy group's, which setup makes: others can open the
 * directory, and could lock that for ever. A writer that does not get it goes on without: the file
 * is whole in any case. Returns a descriptor or -1. */
static int lock(int directory, const char *name, const char *path)
{
    char lock_name[NAME_MAX];
    snprintf(lock_name, sizeof(lock_name), ".%.200s.lock", name);
    int fd = openat(directory, lock_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && file_lock(fd, LOCK_WAIT_MS) != 0)
        log_warn("%s: written without its lock: %s", path, strerror(errno));
    return fd;
}

int state_make_lock(const char *path, gid_t gid, struct error *error)
{
    const char *name;
    char lock_name[NAME_MAX];
    int directory = directory_of(path, &name, error);
    if (directory < 0)
        return -1;
    snprintf(lock_name, sizeof(lock_name), ".%.200s.lock", name);
    int fd = openat(directory, lock_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* The mode comes last: until the group is right nobody else shall open it. */
    if (fd >= 0 && gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) == 0)
        fchmod(fd, 0660);
    int reason = errno;
    if (fd >= 0)
        close(fd);
    close(directory);
    if (fd >= 0 || reason == EEXIST)
        return 0;
    return error_set(error, 1, "%s: make its %s: %s", path, lock_name, strerror(reason));
}

int state_write(const char *path, uid_t owner, enum state_half half, const struct state *state,
                struct error *error)
{
    struct state merged;
    struct error ignored;
    const char *name;
    int directory = directory_of(path, &name, error);
    if (directory < 0)
        return -1;
    int lock_fd = lock(directory, name, path);
    read_from(directory, name, path, owner, &merged, &ignored);
    copy_half(&merged, half, state);
    int result = write_to(directory, name, path, &merged, error);
    if (lock_fd >= 0)
        close(lock_fd);
    close(directory);
    return result;
}

int state_check_current(const struct state *state, struct error *error)
{
    char here[NAMESPACE_ID_SIZE];
    char boot[NAMESPACE_ID_SIZE];
    network_namespace_id(here);
    boot_id(boot);
    if (strcmp(state->boot, boot) != 0)
        return error_set(error, 1, "setup ran before the last boot of this machine");
    if (strcmp(state->netns, here) != 0)
        return error_set(error, 1, "setup ran in another network namespace (%s, this is %s)",
                         state->netns, here);
    return 0;
}
