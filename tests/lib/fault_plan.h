#ifndef TESTS_LIB_FAULT_PLAN_H
#define TESTS_LIB_FAULT_PLAN_H

#include <sys/types.h>

/* Which calls are to fail: FAULT and FAULT_LOG, as fault.c says. */

/* A variable of the environment; NULL where it is empty, too. */
const char *setting(const char *name);

/* Sets errno by its name, and returns -1. */
int refuse(const char *error);

enum outcome { GO_ON, REFUSED, REFUSE_AFTER, KILL_AFTER };

struct fault {
    enum outcome outcome;
    int error; /* for REFUSE_AFTER */
};

enum call {
    CALL_SETSOCKOPT,
    CALL_GETSOCKOPT,
    CALL_SOCKET,
    CALL_SENDMSG,
    CALL_SENDTO,
    CALL_RECVMSG,
    CALL_RECVFROM,
    CALLS
};

/* What is to happen to this call, which is about object. Where it is refused, errno is set. */
struct fault fault_of(enum call call, const char *object);

/* The end of a call with that fault, and that result from the kernel. */
ssize_t finish(struct fault fault, ssize_t result);

#endif
