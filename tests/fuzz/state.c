/* The state file, which a volume may bring from elsewhere, or somebody may have written. The input
 * is the file; where it does not parse, it stands for an error text that is to be written. */
#include "common/state/state.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

#define CHECK_TEXT(text) CHECK(memchr(text, '\0', sizeof(text)) != NULL)

/* Every torn file of a size up to that, and about as many of a larger one. */
enum { CUTS = 128 };

static int parse(const void *data, size_t size, struct state *state, struct error *error)
{
    char *exact = malloc(size > 0 ? size : 1);
    CHECK(exact != NULL);
    memcpy(exact, data, size);
    /* What is not written is to be seen. */
    memset(state, 0xa5, sizeof(*state));
    memset(error, 0xa5, sizeof(*error));
    int result = state_parse(exact, size, state, error);
    free(exact);
    return result;
}

static bool has_control(const void *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = ((const unsigned char *)text)[i];
        if ((c < ' ' && c != '\n') || c == 0x7f)
            return true;
        /* One of those from U+0080 on, in UTF-8. */
        if (c == 0xc2 && i + 1 < size && (((const unsigned char *)text)[i + 1] & 0xe0) == 0x80)
            return true;
    }
    return false;
}

static void check_refused(const struct state *state, const struct error *error)
{
    static const struct state none;
    CHECK(memcmp(state, &none, sizeof(none)) == 0);
    CHECK_TEXT(error->text);
    CHECK(error->text[0] != '\0' && error->status == 1);
    CHECK(!has_control(error->text, strlen(error->text)) && strchr(error->text, '\n') == NULL);
}

static void check_bounds(const struct state *state)
{
    CHECK_TEXT(state->setup_error);
    CHECK_TEXT(state->netns);
    CHECK_TEXT(state->boot);
    CHECK_TEXT(state->backend);
    CHECK_TEXT(state->ca);
    CHECK_TEXT(state->ca_sha256);
    CHECK_TEXT(state->mitm_error);
    CHECK(state->setup >= SETUP_UNKNOWN && state->setup <= SETUP_DISABLED);
    CHECK(state->mitm >= MITM_UNKNOWN && state->mitm <= MITM_STOPPING);
    CHECK(state->setup_time >= 0 && state->mitm_time >= 0);
}

/* What is written reads as what it was, and is written the same again. */
static void check_round_trip(const struct state *state)
{
    char text[STATE_TEXT_MAX], again[STATE_TEXT_MAX];
    struct state read_back;
    struct error error;
    size_t size = state_format(state, text);
    CHECK(size > 0 && size < sizeof(text) && !has_control(text, size));
    CHECK(memcmp(text, "version=1\n", 10) == 0);
    CHECK(parse(text, size, &read_back, &error) == 0);
    CHECK(memcmp(state, &read_back, sizeof(*state)) == 0);
    CHECK(state_format(&read_back, again) == size && memcmp(text, again, size) == 0);
}

/* Every line that was read is written again. (A number may have had zeros in front.) */
static void check_nothing_lost(const struct state *state, const uint8_t *data, size_t size)
{
    char text[STATE_TEXT_MAX];
    size_t text_size = state_format(state, text);
    const uint8_t *end = data + size;
    for (const uint8_t *line = data; line < end;) {
        const uint8_t *line_end = memchr(line, '\n', (size_t)(end - line));
        size_t line_size = (size_t)(line_end + 1 - line);
        const uint8_t *value = memchr(line, '=', line_size);
        CHECK(value != NULL && value < line_end);
        CHECK(memmem(text, text_size, line, line_size) != NULL || value[1] == '0');
        line = line_end + 1;
    }
}

/* A file that ends within a line is none. */
static void check_torn(const uint8_t *data, size_t size)
{
    struct state state;
    struct error error;
    for (size_t cut = 0; cut < size; cut += size / CUTS + 1) {
        bool at_line_end = cut > 0 && data[cut - 1] == '\n';
        int result = parse(data, cut, &state, &error);
        CHECK(result == (at_line_end ? 0 : -1));
        if (result != 0)
            check_refused(&state, &error);
    }
}

/* Whatever an error text is, the file that tells it reads. */
static void check_any_error(const uint8_t *data, size_t size)
{
    struct state state = {.setup = SETUP_FAILED, .mitm = MITM_DOWN};
    struct state read_back;
    struct error error;
    char text[STATE_TEXT_MAX];
    size_t length = size < STATE_ERROR_SIZE - 1 ? size : STATE_ERROR_SIZE - 1;
    memcpy(state.setup_error, data, length);
    memcpy(state.mitm_error, data + size - length, length);
    size_t text_size = state_format(&state, text);
    CHECK(parse(text, text_size, &read_back, &error) == 0);
    CHECK(strlen(read_back.setup_error) == strlen(state.setup_error));
    CHECK(strlen(read_back.mitm_error) == strlen(state.mitm_error));
    CHECK(read_back.setup == SETUP_FAILED && read_back.mitm == MITM_DOWN);
    check_round_trip(&read_back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state state;
    struct error error;
    if (parse(data, size, &state, &error) == 0) {
        CHECK(!has_control(data, size));
        check_bounds(&state);
        check_round_trip(&state);
        check_nothing_lost(&state, data, size);
        check_torn(data, size);
    } else {
        check_refused(&state, &error);
        check_any_error(data, size);
    }
    return 0;
}
