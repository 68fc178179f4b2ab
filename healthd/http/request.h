#ifndef HEALTHD_HTTP_REQUEST_H
#define HEALTHD_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/* A request of HTTP/1.x (RFC 9112) as far as a health check needs it: one per connection, whose
 * body is not read. */

enum { HTTP_REQUEST_MAX = 4096, HTTP_PATH_SIZE = 64 };

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_OTHER };

struct http_request {
    int status; /* 200, or what to refuse the request with: 400, 431, 505 */
    enum http_method method;
    char path[HTTP_PATH_SIZE]; /* without query; "" if it does not fit, and so is none of ours */
    bool verbose;              /* the query has a parameter of that name */
    bool has_body;             /* or may have one: more may follow the head */
};

/* Parses what has come in so far. Returns the size of the head, with request filled, or 0 while the
 * head is incomplete. A request that must be refused counts as complete. */
size_t http_request_parse(const char *data, size_t size, struct http_request *request);

#endif
