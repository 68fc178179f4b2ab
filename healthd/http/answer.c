#include "healthd/http/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/kernel/canary.h"

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "HTTP Version Not Supported";
    }
}

size_t http_answer_format(const struct http_answer *answer, char *out, size_t out_size)
{
    char date[40];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    int size =
        snprintf(out, out_size,
                 "HTTP/1.1 %d %s\r\n"
                 "Date: %s\r\n"
                 "Content-Type: %s\r\n"
                 "Content-Length: %zu\r\n"
                 "Cache-Control: no-store\r\n"
                 "%s%s"
                 "Connection: close\r\n"
                 "\r\n"
                 "%s",
                 answer->status, reason_phrase(answer->status), date,
                 answer->type != NULL ? answer->type : "text/plain; charset=utf-8",
                 strlen(answer->body), answer->status == 405 ? "Allow: GET, HEAD\r\n" : "",
                 answer->canary ? CANARY_HEADER "\r\n" : "", answer->head_only ? "" : answer->body);
    return (size_t)size < out_size ? (size_t)size : out_size - 1;
}

void text_add(struct text *text, const char *format, ...)
{
    size_t left = text->size - text->used;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text->at + text->used, left, format, args);
    va_end(args);
    if (length > 0)
        text->used += (size_t)length < left ? (size_t)length : left - 1;
}
