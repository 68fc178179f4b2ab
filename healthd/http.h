#ifndef HEALTHD_HTTP_H
#define HEALTHD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

/* HTTP/1.x (RFC 9112) as far as a health check needs it: one request a connection, no body read.
 * Pure functions on memory. */

enum { HTTP_REQUEST_MAX = 4096, HTTP_PATH_SIZE = 64 };

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_OTHER };

struct http_request {
    int status; /* 200, or what to refuse the request with: 400, 431, 505 */
    enum http_method method;
    char
        path[HTTP_PATH_SIZE]; /* without query; "" if it does not fit, which no path of ours does */
    bool verbose;             /* the query has a parameter of that name */
    bool has_body;            /* or may have one: more is to come behind the head */
};

/* Looks at what has come in so far. Returns how many bytes the request's head has, with request
 * filled, or 0 while it is not complete. A request that can only be refused is complete. */
size_t http_parse(const char *data, size_t size, struct http_request *request);

struct http_answer {
    int status;
    const char *body; /* "" for none */
    const char *type; /* of the body; NULL: plain text */
    bool head_only;   /* answers HEAD */
    bool canary;      /* the connection came by the canary */
};

/* Writes the answer with its header and a NUL behind it. Returns its size without that: what does
 * not fit is cut. */
size_t http_format(const struct http_answer *answer, char *out, size_t out_size);

#endif
