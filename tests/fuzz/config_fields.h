#ifndef TESTS_FUZZ_CONFIG_FIELDS_H
#define TESTS_FUZZ_CONFIG_FIELDS_H

#include <stdio.h>

#include "common/config/config.h"

/* Every variable of the configuration as the harness sees it. */

/* Any parser's field. */
union field {
    bool flag;
    uint16_t port;
    uint64_t size;
    int word;
    char path[PATH_MAX];
    struct list list;
    struct port_list ports;
    struct uid_list uids;
    struct cidr_list cidrs;
    struct user user;
    struct http_address address;
};

struct expected {
    const char *name; /* without the prefix */
    const char *(*parse)(const char *value, void *field);
    /* Checks the field's bounds, and prints what would give the same field. */
    void (*print)(const void *field, FILE *out);
    size_t offset; /* in struct config */
};

enum { VARIABLES = 36 };
extern const struct expected fields[];

/* NULL if there is none of that name. */
const struct expected *field_find(const char *name, size_t length);

#endif
