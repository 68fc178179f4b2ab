/* The HTTP parser, which anybody in the pod can talk to, and what is answered. The input is what a
 * client sends; the answer's body is made of the same bytes. */
#include "healthd/http/answer.h"
#include "healthd/http/request.h"

#include <string.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"

/* Prefixes are tried one by one up to that size, and about as many of a longer input. */
enum { PREFIXES = 256 };

/* A body fits into the answer with its head, as in healthd. */
enum { BODY_SIZE = 544, ANSWER_SIZE = 2048 };

struct outcome {
    size_t used;
    struct http_request request;
};

/* From memory of just that size. */
static struct outcome parse(const uint8_t *data, size_t size)
{
    struct outcome outcome;
    char *exact = malloc(size > 0 ? size : 1);
    CHECK(exact != NULL);
    memcpy(exact, data, size);
    /* What is not written is to be seen. */
    memset(&outcome, 0xa5, sizeof(outcome));
    outcome.used = http_request_parse(exact, size, &outcome.request);
    free(exact);
    return outcome;
}

static void check_outcome(const struct outcome *outcome, size_t size)
{
    const struct http_request *request = &outcome->request;
    CHECK(outcome->used <= size);
    CHECK((outcome->used == 0) == (request->status == 0));
    CHECK(request->status == 0 || request->status == 200 || request->status == 400 ||
          request->status == 431 || request->status == 505);
    CHECK(request->status != 431 || size >= HTTP_REQUEST_MAX);
    CHECK(request->status != 0 || size < HTTP_REQUEST_MAX);
    CHECK(request->method == METHOD_GET || request->method == METHOD_HEAD ||
          request->method == METHOD_OTHER);
    CHECK(memchr(request->path, '\0', sizeof(request->path)) != NULL);
    /* What is refused has no known end. */
    CHECK(request->status == 200 || request->status == 0 || outcome->used == size);
}

/* How many field lines of that name a well-formed head has. */
static int count_fields(const char *head, size_t size, const char *name)
{
    int count = 0;
    size_t length = strlen(name);
    for (size_t i = 0; i + length + 1 < size; i++)
        if (head[i] == '\n' && strncasecmp(head + i + 1, name, length) == 0 &&
            head[i + 1 + length] == ':')
            count++;
    return count;
}

/* The path is the target's, without host and query, or "" where it is too long. */
static void check_path(const char *target, const char *path)
{
    if (strncasecmp(target, "http://", 7) == 0) {
        target += 7;
        CHECK(strchr("/?: ", *target) == NULL);
        target += strcspn(target, "/? ");
        if (*target != '/')
            target = "/ ";
    }
    size_t length = strcspn(target, "? ");
    CHECK(*target == '/' || (*target == '*' && length == 1));
    if (length >= HTTP_PATH_SIZE)
        length = 0;
    CHECK(strlen(path) == length && memcmp(path, target, length) == 0);
}

/* What was taken is nothing that another reader could take for something else. */
static void check_accepted(const char *head, size_t size, const struct http_request *request)
{
    CHECK(size >= 4 && memcmp(head + size - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)head[i];
        CHECK(c != 0x7f && (c >= ' ' || c == '\t' || c == '\r' || c == '\n'));
        CHECK(c != '\r' || head[i + 1] == '\n');
        CHECK(c != '\n' || (i > 0 && head[i - 1] == '\r'));
        CHECK(c != '\n' || i + 1 == size || (head[i + 1] != ' ' && head[i + 1] != '\t'));
        CHECK(c != '\n' || i < 2 || i + 1 == size || head[i + 1] != '\r' || i + 3 == size);
    }
    const char *line = head + (head[0] == '\r' ? 2 : 0);
    const char *line_end = memchr(line, '\r', size);
    bool is_http11 = memcmp(line_end - 9, " HTTP/1.1", 9) == 0;
    CHECK(is_http11 || memcmp(line_end - 9, " HTTP/1.0", 9) == 0);
    CHECK((request->method == METHOD_GET) == (memcmp(line, "GET ", 4) == 0));
    CHECK((request->method == METHOD_HEAD) == (memcmp(line, "HEAD ", 5) == 0));
    int hosts = count_fields(head, size, "Host");
    CHECK(hosts == 1 || (hosts == 0 && !is_http11));
    CHECK(count_fields(head, size, "Content-Length") +
              count_fields(head, size, "Transfer-Encoding") <=
          1);
    CHECK(count_fields(head, size, "Transfer-Encoding") == 0 || is_http11);
    check_path(strchr(line, ' ') + 1, request->path);
}

/* The same request, however many bytes of it and behind it have come in. */
static void check_same(const struct outcome *one, const struct outcome *other, size_t other_size)
{
    CHECK(other->request.status == one->request.status);
    CHECK(other->request.method == one->request.method);
    CHECK(strcmp(other->request.path, one->request.path) == 0);
    CHECK(other->request.verbose == one->request.verbose);
    CHECK(other->request.has_body == one->request.has_body);
    CHECK(other->used == (one->request.status == 200 ? one->used : other_size));
}

/* Nothing until the request is whole, and then always the same. */
static void check_prefixes(const uint8_t *data, size_t size, const struct outcome *whole)
{
    struct outcome first = {0};
    size_t step = size / PREFIXES + 1;
    for (size_t length = 0; length < size; length += step) {
        struct outcome outcome = parse(data, length);
        check_outcome(&outcome, length);
        if (first.used > 0)
            check_same(&first, &outcome, length);
        else
            first = outcome;
    }
    if (first.used > 0)
        check_same(&first, whole, size);
    if (whole->request.status != 200)
        return;
    struct outcome head = parse(data, whole->used);
    check_same(whole, &head, whole->used);
    CHECK(parse(data, whole->used - 1).used == 0);
}

static void check_more(const uint8_t *data, size_t size, const struct outcome *whole)
{
    static const char more[] = "\nHost: x\r\n\r\nGET /more HTTP/2.0\r\n\r\n"; /* and a NUL */
    static uint8_t longer[HTTP_REQUEST_MAX + sizeof(more)];
    memcpy(longer, data, size);
    memcpy(longer + size, more, sizeof(more));
    size_t longer_size = size + sizeof(more);
    if (longer_size > HTTP_REQUEST_MAX)
        longer_size = HTTP_REQUEST_MAX;
    struct outcome outcome = parse(longer, longer_size);
    check_outcome(&outcome, longer_size);
    check_same(whole, &outcome, longer_size);
}

static void check_parser(const uint8_t *data, size_t size)
{
    struct outcome whole = parse(data, size);
    check_outcome(&whole, size);
    check_prefixes(data, size, &whole);
    if (whole.used > 0)
        check_more(data, size, &whole);
    if (whole.request.status == 200)
        check_accepted((const char *)data, whole.used, &whole.request);
}

static void check_answer(const struct http_answer *answer, const char *text, size_t size)
{
    char expected[64];
    CHECK(size < ANSWER_SIZE && strlen(text) == size);
    int length = snprintf(expected, sizeof(expected), "HTTP/1.1 %d ", answer->status);
    CHECK(strncmp(text, expected, (size_t)length) == 0);
    const char *head_end = strstr(text, "\r\n\r\n");
    CHECK(head_end != NULL);
    CHECK(strcmp(head_end + 4, answer->head_only ? "" : answer->body) == 0);
    snprintf(expected, sizeof(expected), "\r\nContent-Length: %zu\r\n", strlen(answer->body));
    const char *found = strstr(text, expected);
    CHECK(found != NULL && found < head_end);
    found = strstr(text, "\r\nConnection: close\r\n");
    CHECK(found != NULL && found < head_end);
    found = strstr(text, "\r\nAllow: ");
    CHECK((found != NULL && found < head_end) == (answer->status == 405));
    found = strstr(text, "\r\nX-OpenSandbox-Canary: yes\r\n");
    CHECK((found != NULL && found < head_end) == answer->canary);
}

static void check_format(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 400, 404, 405, 408, 431, 503, 505};
    char body[BODY_SIZE];
    char text[ANSWER_SIZE];
    if (size < 3)
        return;
    size_t length = size - 3 < sizeof(body) - 1 ? size - 3 : sizeof(body) - 1;
    memcpy(body, data + 3, length);
    body[length] = '\0';
    struct http_answer answer = {.status = statuses[data[0] % 8],
                                 .body = body,
                                 .head_only = (data[1] & 1) != 0,
                                 .canary = (data[1] & 2) != 0};
    memset(text, 0xa5, sizeof(text));
    check_answer(&answer, text, http_answer_format(&answer, text, sizeof(text)));
    /* Where it does not fit, it is cut. */
    size_t little = 1 + data[2];
    char *cut = malloc(little);
    CHECK(cut != NULL);
    size_t cut_size = http_answer_format(&answer, cut, little);
    CHECK(cut_size < little && memchr(cut, '\0', cut_size) == NULL);
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* healthd keeps no more of a request. */
    check_parser(data, size < HTTP_REQUEST_MAX ? size : HTTP_REQUEST_MAX);
    check_format(data, size);
    return 0;
}
