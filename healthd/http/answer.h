#ifndef HEALTHD_HTTP_ANSWER_H
#define HEALTHD_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct http_answer {
    int status;
    const char *body; /* "" for none */
    const char *type; /* of the body; NULL: plain text */
    bool head_only;   /* answers HEAD */
    bool canary;      /* the connection came by the canary */
};

/* Writes the answer with its header and a NUL, cut if it does not fit. Returns its size without the
 * NUL. */
size_t http_answer_format(const struct http_answer *answer, char *out, size_t out_size);

/* A text that is put together piece by piece in memory of fixed size; what does not fit is cut. */
struct text {
    char *at;
    size_t size; /* of the memory, a NUL included */
    size_t used;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
