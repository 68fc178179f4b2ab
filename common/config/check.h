#ifndef COMMON_CONFIG_CHECK_H
#define COMMON_CONFIG_CHECK_H

struct config;

/* Checks what a single value cannot tell: values against each other, and against the world (users,
 * files, the program, which becomes an absolute path). Values that did not parse are passed over.
 * Reports each error and returns how many there were. */
int config_check(struct config *config);

/* Logs what is wrong: an error, or a warning where the configuration only has to parse. */
void config_complain(const struct config *config, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for one variable: its name behind the prefix, its value, the reason, what is accepted.
 */
void config_report(const struct config *config, const char *name, const char *value,
                   const char *reason);

#endif
