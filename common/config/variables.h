#ifndef COMMON_CONFIG_VARIABLES_H
#define COMMON_CONFIG_VARIABLES_H

#include <stddef.h>
#include <stdio.h>

#include "common/config/config.h"

/* The variables, one row each. */
enum { VARIABLES_MAX = 64 };

struct variable {
    const char *name; /* without CONFIG_PREFIX */
    const char *(*parse)(const char *value, void *field);
    size_t offset;       /* of the field in struct config */
    const char *initial; /* the value of an unset or empty variable, NULL for none; after "=" it
                            is only text for people */
    const char *accepted;
    const char *meaning;
};
extern const struct variable *const variables;
extern const size_t variable_count;

/* Finds the row of a name without the prefix. NULL if there is none. */
const struct variable *variable_find(const char *name);

/* Logs a mistake: as an error with CONFIG_MUST_HOLD, else as a warning. */
void config_complain(const struct config *config, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for one variable. Logs its name, its value, the reason, and what is accepted. */
void config_report(const struct config *config, const char *name, const char *value,
                   const char *reason);

/* Prints the text about each variable for --help. */
void config_print_help(FILE *out);

#endif
