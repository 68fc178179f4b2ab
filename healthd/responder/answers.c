#include "healthd/responder/answers.h"

#include <string.h>

#include "healthd/http/answer.h"
#include "healthd/responder/metrics.h"

/* The body of one answer at a time. */
static char body[48 * 1024];

static void answer_refused(struct http_answer *answer)
{
    static const struct {
        int status;
        const char *body;
    } refusals[] = {{400, "bad request\n"},
                    {408, "request not complete within 2 s\n"},
                    {431, "request larger than 4096 bytes\n"},
                    {505, "HTTP/1.0 or HTTP/1.1 only\n"}};
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (refusals[i].status == answer->status)
            answer->body = refusals[i].body;
}

static void answer_health(struct readiness *readiness, bool verbose, struct http_answer *answer)
{
    const struct verdict *verdict = readiness_judge(readiness);
    struct text text = {body, sizeof(body), 0};
    if (!verdict->ready)
        answer->status = 503;
    if (verbose)
        verdict_print(verdict, &text);
    else if (verdict->ready)
        text_add(&text, "ok\n");
    else
        text_add(&text, "mitm not ready: %s\n", verdict->reason);
    answer->body = body;
}

static void answer_metrics(struct readiness *readiness, struct http_answer *answer)
{
    struct text text = {body, sizeof(body), 0};
    readiness_judge(readiness);
    metrics_print(readiness, clients_present(), clients_dropped(), &text);
    answer->body = body;
    answer->type = METRICS_TYPE;
}

static void answer_path(struct readiness *readiness, const struct http_request *request,
                        struct http_answer *answer)
{
    bool is_health = strcmp(request->path, "/healthz") == 0;
    bool is_live = strcmp(request->path, "/livez") == 0;
    bool is_metrics = strcmp(request->path, "/metrics") == 0;
    if (!is_health && !is_live && !is_metrics) {
        answer->status = 404;
        answer->body = "not found\n";
    } else if (request->method == METHOD_OTHER) {
        answer->status = 405;
        answer->body = "GET or HEAD only\n";
    } else if (is_live) {
        answer->body = "ok\n";
    } else if (is_health) {
        answer_health(readiness, request->verbose, answer);
    } else {
        answer_metrics(readiness, answer);
    }
}

static void answer_request(void *context, const struct http_request *request,
                           struct http_answer *answer)
{
    if (request->status == 200)
        answer_path(context, request, answer);
    else
        answer_refused(answer);
    metrics_count(request, answer->status);
}

static bool canary_arrived(void *context, int family, int fd)
{
    struct readiness *readiness = context;
    readiness->changed = true;
    return probes_arrived(&readiness->probes, family, fd);
}

struct clients_callbacks answers_callbacks(struct readiness *readiness)
{
    return (struct clients_callbacks){readiness, answer_request, canary_arrived};
}
