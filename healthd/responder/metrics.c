#include "healthd/responder/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "healthd/link/usage.h"
#include "healthd/responder/conditions.h"

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

static const char *const refusals[COUNTS] = {
    [COUNT_NON_HTTP] = "non-http", [COUNT_TLS] = "tls",     [COUNT_REQUEST] = "request",
    [COUNT_VERSION] = "version",   [COUNT_ADDON] = "addon",
};

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

static void print_start(const struct report *report, struct text *out)
{
    begin(out, "mitmdump_start_duration_seconds", "gauge",
          "How long the last start of a worker took.");
    text_add(out, PREFIX "mitmdump_start_duration_seconds %.3f\n", report->start_ms / 1000.0);
    print_number(out, "mitmdump_workers", "gauge", "How many workers there have to be.",
                 report->workers);
}

/* One number of each worker. */
static void print_count(const struct pulse *pulse, unsigned int workers, enum count count,
                        const char *name, const char *type, const char *help, struct text *out)
{
    begin(out, name, type, help);
    for (unsigned int i = 0; i < workers; i++)
        text_add(out, PREFIX "%s{worker=\"%u\"} %" PRIu64 "\n", name, i + 1,
                 pulse->workers[i].counts[count]);
}

/* What /proc says of each worker that there is. */
static void print_usage(const struct pulse *pulse, unsigned int workers, struct text *out)
{
    static struct usage usages[WORKERS_MAX];
    bool known[WORKERS_MAX];
    for (unsigned int i = 0; i < workers; i++) {
        uint32_t pid = pulse->workers[i].pid;
        known[i] = pid != 0 && usage_read(pid, &usages[i]) == 0;
    }
    begin(out, "mitmdump_resident_memory_bytes", "gauge", "Resident memory of a worker.");
    for (unsigned int i = 0; i < workers; i++)
        if (known[i])
            text_add(out, PREFIX "mitmdump_resident_memory_bytes{worker=\"%u\"} %" PRIu64 "\n",
                     i + 1, usages[i].resident_bytes);
    begin(out, "mitmdump_cpu_seconds_total", "counter",
          "Processor time of the worker that runs, user and system.");
    for (unsigned int i = 0; i < workers; i++)
        if (known[i])
            text_add(out, PREFIX "mitmdump_cpu_seconds_total{worker=\"%u\"} %.2f\n", i + 1,
                     usages[i].cpu_seconds);
}

static void print_workers(const struct pulse *pulse, unsigned int workers, struct text *out)
{
    begin(out, "mitmdump_up", "gauge", "Whether a worker has started.");
    for (unsigned int i = 0; i < workers; i++)
        text_add(out, PREFIX "mitmdump_up{worker=\"%u\"} %d\n", i + 1,
                 pulse->workers[i].beat_ms != 0);
    print_count(pulse, workers, COUNT_OPEN, "mitmdump_connections", "gauge",
                "Connections of clients that are open.", out);
    print_count(pulse, workers, COUNT_CONNECTIONS, "mitmdump_connections_total", "counter",
                "Connections of clients.", out);
    print_count(pulse, workers, COUNT_REQUESTS, "mitmdump_requests_total", "counter",
                "Requests that have come.", out);
    print_usage(pulse, workers, out);
}

static void print_refused(const struct pulse *pulse, unsigned int workers, struct text *out)
{
    begin(out, "refused_total", "counter",
          "Connections and requests that the proxy has refused, by kind.");
    for (enum count kind = COUNT_REFUSED; kind < COUNTS; kind++) {
        uint64_t sum = 0;
        for (unsigned int i = 0; i < workers; i++)
            sum += pulse->workers[i].counts[kind];
        text_add(out, PREFIX "refused_total{kind=\"%s\"} %" PRIu64 "\n", refusals[kind], sum);
    }
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

void metrics_print(const struct readiness *readiness, unsigned int clients, uint64_t dropped,
                   struct text *out)
{
    const struct verdict *verdict = &readiness->verdict;
    const struct report *report = &readiness->report;
    const struct pulse *pulse = readiness->pulse;
    print_number(out, "ready", "gauge", "Whether /healthz answers 200.", verdict->ready);
    print_conditions(verdict, out);
    print_restarts(report, out);
    print_start(report, out);
    if (pulse != NULL) {
        print_workers(pulse, report->workers, out);
        print_refused(pulse, report->workers, out);
    }
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
