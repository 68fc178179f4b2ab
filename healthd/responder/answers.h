#ifndef HEALTHD_RESPONDER_ANSWERS_H
#define HEALTHD_RESPONDER_ANSWERS_H

#include "healthd/http/clients.h"
#include "healthd/responder/readiness.h"

/* What clients are answered, path by path: from readiness, which must live as long as they are
 * served. Their requests are counted, and connections by the canary passed on. */
struct clients_owner answers_of(struct readiness *readiness);

#endif
