#ifndef HEALTHD_RESPONDER_ANSWERS_H
#define HEALTHD_RESPONDER_ANSWERS_H

#include "healthd/http/clients.h"
#include "healthd/responder/readiness.h"

/* Returns the callbacks that answer clients, path by path, from readiness, which must outlive the
 * clients. They also count requests, and tell readiness of canaries. */
struct clients_callbacks answers_callbacks(struct readiness *readiness);

#endif
