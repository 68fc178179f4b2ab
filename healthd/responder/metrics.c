#include "healthd/responder/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "healthd/link/usage.h"
#include "healthd/responder/conditions.h"
#include "healthd/runner/output.h"

#define PREFIX "opensandbox_egress_"

static const char *const paths[] = {"/healthz", "/livez", "/metrics", "other"};
static const int codes[] = {200, 400, 404, 405, 408, 431, 503, 505};
enum { PATHS = sizeof(paths) / sizeof(paths[0]), CODES = sizeof(codes) / sizeof(codes[0]) };

static uint64_t requests[PATHS][CODES];

static const char *const causes[CAUSES] = {
    [CAUSE_EXITED] = "exited",
    [CAUSE_KILLED] = "killed",
    [CAUSE_HUNG] = "hung",
    [CAUSE_START_TIMEOUT] = "start_timeout",
    [CAUSE_CA_CHANGED] = "ca_changed",
    [CAUSE_NOT_STARTED] = "not_started",
};

static const char *const family_labels[PROBE_FAMILIES] = {"ipv4", "ipv6"};

void metrics_count(const struct http_request *request, int status)
{
    size_t path = request->status == 200 ? 0 : PATHS - 1, code = 0;
    while (path < PATHS - 1 && strcmp(paths[path], request->path) != 0)
        path++;
    while (code < CODES && codes[code] != status)
        code++;
    if (code < CODES)
        requests[path][code]++;
}

static void begin(struct text *out, const char *name, const char *type, const char *help)
{
    text_add(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void print_number(struct text *out, const char *name, const char *type, const char *help,
                         uint64_t value)
{
    begin(out, name, type, help);
    text_add(out, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void print_conditions(const struct verdict *verdict, struct text *out)
{
    begin(out, "condition", "gauge", "Whether a condition of readiness holds.");
    for (size_t i = 0; i < CONDITIONS; i++)
        if (verdict->conditions[i].holding != DOES_NOT_APPLY)
            text_add(out, PREFIX "condition{name=\"%s\"} %d\n", conditions[i].name,
                     verdict->conditions[i].holding == HOLDS);
}

static void print_restarts(const struct report *report, struct text *out)
{
    begin(out, "mitmdump_restarts_total", "counter", "Restarts of mitmdump, by cause.");
    for (size_t i = 0; i < CAUSES; i++)
        text_add(out, PREFIX "mitmdump_restarts_total{cause=\"%s\"} %u\n", causes[i],
                 report->restarts[i]);
}

static void print_mitmdump(const struct verdict *verdict, const struct report *report,
                           struct text *out)
{
    struct usage usage;
    begin(out, "mitmdump_start_duration_seconds", "gauge",
          "How long the last start took until mitmdump listened.");
    text_add(out, PREFIX "mitmdump_start_duration_seconds %.3f\n", report->start_ms / 1000.0);
    begin(out, "mitmdump_accept_backlog", "gauge", "Connections that wait for mitmdump.");
    for (size_t i = 0; i < PROBE_FAMILIES; i++)
        if (verdict->backlog[i] >= 0)
            text_add(out, PREFIX "mitmdump_accept_backlog{family=\"%s\"} %" PRId64 "\n",
                     family_labels[i], verdict->backlog[i]);
    if (report->pid == 0 || usage_read(report->pid, &usage) != 0)
        return;
    print_number(out, "mitmdump_resident_memory_bytes", "gauge", "Resident memory of mitmdump.",
                 usage.resident_bytes);
    begin(out, "mitmdump_cpu_seconds_total", "counter",
          "Processor time of the mitmdump that runs, user and system.");
    text_add(out, PREFIX "mitmdump_cpu_seconds_total %.2f\n", usage.cpu_seconds);
}

static void print_refused(const struct report *report, struct text *out)
{
    begin(out, "refused_total", "counter",
          "Connections and requests that the proxy has refused, by kind.");
    for (enum refusal i = 0; i < REFUSALS; i++)
        text_add(out, PREFIX "refused_total{kind=\"%s\"} %u\n", refusal_name(i),
                 report->refused[i]);
}

static void print_requests(struct text *out)
{
    begin(out, "http_requests_total", "counter", "Requests that were answered.");
    for (size_t path = 0; path < PATHS; path++)
        for (size_t code = 0; code < CODES; code++)
            if (requests[path][code] > 0)
                text_add(out, PREFIX "http_requests_total{path=\"%s\",code=\"%d\"} %" PRIu64 "\n",
                         paths[path], codes[code], requests[path][code]);
}

void metrics_print(const struct verdict *verdict, const struct report *report, unsigned int clients,
                   uint64_t dropped, struct text *out)
{
    print_number(out, "ready", "gauge", "Whether /healthz answers 200.", verdict->ready);
    print_conditions(verdict, out);
    print_restarts(report, out);
    print_mitmdump(verdict, report, out);
    print_refused(report, out);
    print_requests(out);
    print_number(out, "http_clients", "gauge", "Connections to healthd.", clients);
    print_number(out, "http_clients_dropped_total", "counter",
                 "Connections to healthd that gave way to newer ones.", dropped);
    print_number(out, "state_write_failures_total", "counter",
                 "Failed writes of healthd's half of the state file.",
                 report->state_write_failures);
    if (verdict->ca_expires > 0)
        print_number(out, "ca_expiry_timestamp_seconds", "gauge",
                     "When the CA expires, in seconds since 1970.", (uint64_t)verdict->ca_expires);
    begin(out, "build_info", "gauge", "The version of healthd.");
    text_add(out, PREFIX "build_info{version=\"" VERSION "\"} 1\n");
}
