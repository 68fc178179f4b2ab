#ifndef COMMON_CONFIG_VARIABLES_H
#define COMMON_CONFIG_VARIABLES_H

#include <stddef.h>
#include <stdio.h>

#include "common/config/config.h"

/* The variables, one row each. */
enum { VARIABLES_MAX = 64 };

struct variable {
    const char *name; /* behind CONFIG_PREFIX */
    const char *(*parse)(const char *value, void *field);
    size_t offset;       /* of the field in struct config */
    const char *initial; /* what an unset or empty variable counts as; behind "=" only words for
                            people, NULL for none */
    const char *accepted;
    const char *meaning;
};
extern const struct variable *const variables;
extern const size_t variable_count;

/* The row of a name behind the prefix, NULL for none. */
const struct variable *variable_find(const char *name);

/* Logs what is wrong: an error, or a warning where the configuration only has to parse. */
void config_complain(const struct config *config, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for one variable: its name behind the prefix, its value, the reason, what is accepted.
 */
void config_report(const struct config *config, const char *name, const char *value,
                   const char *reason);

/* Prints a row a variable for --help. */
void config_print_help(FILE *out);

#endif
