#include "healthd/http/request.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* A longer Content-Length could overflow 64 bits in another program. */
enum { LENGTH_DIGITS_MAX = 18 };

/* The header fields, as far as they matter here. */
struct fields {
    int hosts;
    int content_lengths;
    int transfer_encodings;
    bool chunked;
};

/* A part of a request's text, which the caller owns. No NUL follows it. */
struct span {
    const char *at;
    size_t size;
};

static bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.size && memcmp(span.at, text, span.size) == 0;
}

static bool span_is_nocase(struct span span, const char *text)
{
    return strlen(text) == span.size && strncasecmp(span.at, text, span.size) == 0;
}

/* Strips spaces and tabs from both ends. */
static struct span span_trim(struct span span)
{
    while (span.size > 0 && (*span.at == ' ' || *span.at == '\t'))
        span.at++, span.size--;
    while (span.size > 0 && (span.at[span.size - 1] == ' ' || span.at[span.size - 1] == '\t'))
        span.size--;
    return span;
}

/* Moves what is before the first separator from rest to taken, and drops the separator. False, with
 * nothing changed, if there is none. */
static bool span_take_until(struct span *rest, char separator, struct span *taken)
{
    const char *end = memchr(rest->at, separator, rest->size);
    if (end == NULL)
        return false;
    *taken = (struct span){rest->at, (size_t)(end - rest->at)};
    rest->size -= taken->size + 1;
    rest->at = end + 1;
    return true;
}

/* RFC 9110, 5.6.2. */
static bool is_token(struct span span)
{
    for (size_t i = 0; i < span.size; i++) {
        unsigned char c = (unsigned char)span.at[i];
        if (c >= 0x7f || c <= ' ' || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
            return false;
    }
    return span.size > 0;
}

/* A name, an address, or an address in brackets, with or without a port (RFC 9110, 7.2), or
 * nothing. */
static bool is_host(struct span value)
{
    static const char others[] = "-._~%!$&'()*+;=";
    bool bracketed = value.size > 0 && *value.at == '[';
    size_t i = bracketed;
    while (i < value.size && (isalnum((unsigned char)value.at[i]) ||
                              memchr(others, value.at[i], sizeof(others) - 1) != NULL ||
                              (bracketed && value.at[i] == ':')))
        i++;
    if (bracketed && (i == 1 || i == value.size || value.at[i++] != ']'))
        return false;
    if (i < value.size && value.at[i++] != ':')
        return false;
    while (i < value.size && isdigit((unsigned char)value.at[i]))
        i++;
    return i == value.size;
}

static int parse_version(struct span version)
{
    if (span_is(version, "HTTP/1.1") || span_is(version, "HTTP/1.0"))
        return 200;
    bool well_formed = version.size == 8 && memcmp(version.at, "HTTP/", 5) == 0 &&
                       isdigit((unsigned char)version.at[5]) && version.at[6] == '.' &&
                       isdigit((unsigned char)version.at[7]);
    return well_formed ? 505 : 400;
}

/* Does the query have a parameter of that name? As in Kubernetes its value does not count. */
static bool has_parameter(struct span query, const char *name)
{
    bool more = true;
    while (more) {
        struct span parameter = query, key;
        more = span_take_until(&query, '&', &parameter);
        if (!span_take_until(&parameter, '=', &key))
            key = parameter;
        if (span_is(key, name))
            return true;
    }
    return false;
}

/* Removes scheme and authority if the target is in absolute-form. An empty path becomes "/". False
 * if the authority is malformed; its host must not be empty (RFC 9110, 4.2.1). */
static bool skip_authority(struct span *target)
{
    static const char scheme[] = "http://";
    const size_t scheme_size = sizeof(scheme) - 1;
    size_t end = scheme_size;
    if (target->size < scheme_size || strncasecmp(target->at, scheme, scheme_size) != 0)
        return true;
    while (end < target->size && target->at[end] != '/' && target->at[end] != '?')
        end++;
    struct span authority = {target->at + scheme_size, end - scheme_size};
    if (end == target->size || target->at[end] == '?')
        *target = (struct span){"/", 1};
    else
        *target = (struct span){target->at + end, target->size - end};
    return authority.size > 0 && *authority.at != ':' && is_host(authority);
}

/* Takes origin-form, absolute-form (a server has to, RFC 9112, 3.2.2), or "*". */
static int parse_target(struct span target, struct http_request *request)
{
    struct span before_query;
    for (size_t i = 0; i < target.size; i++)
        if ((unsigned char)target.at[i] <= ' ' || (unsigned char)target.at[i] >= 0x7f)
            return 400;
    if (!skip_authority(&target))
        return 400;
    if (target.size == 0 || (*target.at != '/' && !span_is(target, "*")))
        return 400;
    if (span_take_until(&target, '?', &before_query)) {
        request->verbose = has_parameter(target, "verbose");
        target = before_query;
    }
    request->path[0] = '\0';
    if (target.size < HTTP_PATH_SIZE) {
        memcpy(request->path, target.at, target.size);
        request->path[target.size] = '\0';
    }
    return 200;
}

static int parse_request_line(struct span line, struct http_request *request, bool *is_http11)
{
    struct span method, target;
    if (!span_take_until(&line, ' ', &method) || !span_take_until(&line, ' ', &target) ||
        !is_token(method))
        return 400;
    request->method = span_is(method, "GET")    ? METHOD_GET
                      : span_is(method, "HEAD") ? METHOD_HEAD
                                                : METHOD_OTHER;
    *is_http11 = span_is(line, "HTTP/1.1");
    int status = parse_version(line);
    return status == 200 ? parse_target(target, request) : status;
}

static bool is_number(struct span value)
{
    for (size_t i = 0; i < value.size; i++)
        if (!isdigit((unsigned char)value.at[i]))
            return false;
    return value.size > 0 && value.size <= LENGTH_DIGITS_MAX;
}

static int parse_field(struct span line, struct fields *fields)
{
    struct span name;
    /* A name is a token: that excludes a continuation line and a space before the colon. */
    if (!span_take_until(&line, ':', &name) || !is_token(name))
        return 400;
    struct span value = span_trim(line);
    for (size_t i = 0; i < value.size; i++)
        if (((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            return 400;
    if (span_is_nocase(name, "Host")) {
        fields->hosts++;
        return is_host(value) ? 200 : 400;
    }
    if (span_is_nocase(name, "Content-Length")) {
        fields->content_lengths++;
        return is_number(value) ? 200 : 400;
    }
    if (span_is_nocase(name, "Transfer-Encoding")) {
        fields->transfer_encodings++;
        fields->chunked = span_is_nocase(value, "chunked");
    }
    return 200;
}

/* Requests whose end two readers could see in different places are refused (RFC 9112, 6.3). */
static int judge_fields(const struct fields *fields, bool is_http11)
{
    if (fields->hosts > 1 || (is_http11 && fields->hosts == 0))
        return 400;
    if (fields->content_lengths + fields->transfer_encodings > 1)
        return 400;
    if (fields->transfer_encodings == 1 && (!is_http11 || !fields->chunked))
        return 400;
    return 200;
}

/* Cuts the next line off rest, without its CRLF. -1: no whole line yet; 0: a line; 400: a bare LF
 * or CR, or a NUL. A NUL is refused before the line is whole, too: this is not HTTP, and the line
 * may never end. So the answer does not depend on how the bytes come in. */
static int take_line(struct span *rest, struct span *line)
{
    bool whole = span_take_until(rest, '\n', line);
    const struct span *seen = whole ? line : rest;
    if (memchr(seen->at, '\0', seen->size) != NULL)
        return 400;
    if (!whole)
        return -1;
    if (line->size == 0 || line->at[line->size - 1] != '\r')
        return 400;
    line->size--;
    return memchr(line->at, '\r', line->size) != NULL ? 400 : 0;
}

/* The status of a complete head, 0 while it is incomplete. *rest becomes what follows it. */
static int parse_head(struct span *rest, struct http_request *request)
{
    struct fields fields = {0};
    struct span line;
    bool is_http11 = false;
    int status = 200;
    int got = take_line(rest, &line);
    /* One empty line before the request is skipped (RFC 9112, 2.2). */
    if (got == 0 && line.size == 0)
        got = take_line(rest, &line);
    if (got != 0)
        return got < 0 ? 0 : got;
    status = parse_request_line(line, request, &is_http11);
    while (status == 200) {
        got = take_line(rest, &line);
        if (got != 0)
            return got < 0 ? 0 : got;
        if (line.size == 0) {
            request->has_body = fields.content_lengths + fields.transfer_encodings > 0;
            return judge_fields(&fields, is_http11);
        }
        status = parse_field(line, &fields);
    }
    return status;
}

size_t http_request_parse(const char *data, size_t size, struct http_request *request)
{
    struct span rest = {data, size};
    memset(request, 0, sizeof(*request));
    request->status = parse_head(&rest, request);
    if (request->status == 0 && size >= HTTP_REQUEST_MAX)
        request->status = 431;
    if (request->status == 0)
        return 0;
    /* The end of a refused request is not known. */
    return request->status == 200 ? size - rest.size : size;
}
