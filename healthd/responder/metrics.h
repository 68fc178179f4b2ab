#ifndef HEALTHD_RESPONDER_METRICS_H
#define HEALTHD_RESPONDER_METRICS_H

#include <stdint.h>

#include "healthd/http/answer.h"
#include "healthd/http/request.h"
#include "healthd/responder/readiness.h"

/* The text format of Prometheus, version 0.0.4. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Counts a request by its path and the status of its answer. One that did not parse has the path
 * "other". */
void metrics_count(const struct http_request *request, int status);

/* Prints everything, by the verdict that was judged last. clients and dropped are the server's:
 * connections now, and those that gave way to newer ones. */
void metrics_print(const struct readiness *readiness, unsigned int clients, uint64_t dropped,
                   struct text *out);

#endif
