#include "common/state/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/characters.h"

/* The format of the state file. */

static const char version_line[] = "version=1";

static const char *const setup_names[] = {"unknown", "running",  "ready",
                                          "failed",  "disabled", NULL};
static const char *const mitm_names[] = {"unknown", "starting", "listening", "down",
                                         "backoff", "stopping", NULL};

enum kind { KIND_WORD, KIND_TEXT, KIND_NUMBER, KIND_TIME };

/* One row per key. Reader and writer both use this table; the writer keeps its order. */
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
    {"setup.gate", STATE_SETUP, TEXT(gate), NULL},
    {"setup.gate_error", STATE_SETUP, TEXT(gate_error), NULL},
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

/* Fields of KIND_WORD are enums, and are read and written as int. */
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

/* Must the value be digits alone? (strtonum by itself would take "+1" and " 1", too.) */
static bool is_numeric(const struct key *key)
{
    return key->kind == KIND_NUMBER || key->kind == KIND_TIME;
}

static int parse_value(const struct key *key, const char *value, struct state *state)
{
    const char *reason = NULL;
    void *field = (char *)state + key->offset;
    if (!is_printable(value) || (is_numeric(key) && value[strspn(value, "0123456789")] != '\0'))
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
            return error_set(error, 1, "the last line has no end");
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
        make_printable(error->text); /* it quotes the file */
    }
    return result;
}

/* Makes text printable first, because the reader refuses what is not. */
static void print_text(FILE *out, const char *text)
{
    char printable[STATE_ERROR_SIZE];
    strlcpy(printable, text, sizeof(printable));
    make_printable(printable);
    fputs(printable, out);
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
