#include "common/config/load.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/check.h"
#include "common/config/foreign_policy.h"
#include "common/config/variables.h"

extern char **environ;

static bool has_control_characters(const char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            return true;
    return false;
}

/* Copies value without the white space around it. False if it does not fit. */
static bool copy_trimmed(char trimmed[static CONFIG_VALUE_MAX], const char *value)
{
    while (isspace((unsigned char)*value))
        value++;
    size_t length = strlen(value);
    while (length > 0 && isspace((unsigned char)value[length - 1]))
        length--;
    if (length >= CONFIG_VALUE_MAX)
        return false;
    memcpy(trimmed, value, length);
    trimmed[length] = '\0';
    return true;
}

/* Fills the variable's field from the environment or its default. Returns the reason if the value
 * is wrong, else NULL. */
static const char *load(const struct variable *variable, struct config *config)
{
    char full_name[80];
    char trimmed[CONFIG_VALUE_MAX];
    void *field = (char *)config + variable->offset;
    snprintf(full_name, sizeof(full_name), CONFIG_PREFIX "%s", variable->name);
    const char *value = getenv(full_name);
    if (value == NULL)
        value = "";
    if (!copy_trimmed(trimmed, value))
        return "too long";
    if (trimmed[0] == '\0') {
        bool none = variable->initial == NULL || variable->initial[0] == '=';
        return none ? NULL : variable->parse(variable->initial, field);
    }
    if (has_control_characters(trimmed))
        return "control characters";
    return variable->parse(trimmed, field);
}

static void take_default_confdir(struct config *config)
{
    if (config->confdir[0] != '\0')
        return;
    user_find_home(&config->user);
    const char *home = config->user.home[0] != '\0' ? config->user.home : "/var/lib/mitmproxy";
    snprintf(config->confdir, sizeof(config->confdir), "%.4000s/.mitmproxy", home);
}

/* Levenshtein's distance, with one row of the matrix. */
static size_t distance(const char *a, const char *b)
{
    size_t row[128];
    size_t length = strlen(b);
    if (length >= sizeof(row) / sizeof(row[0]))
        return SIZE_MAX;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[length];
}

static void warn_unknown(const char *name)
{
    size_t nearest = 0;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < variable_count; i++) {
        size_t found = distance(name, variables[i].name);
        if (found < least) {
            nearest = i;
            least = found;
        }
    }
    log_warn(CONFIG_PREFIX "%s: no such variable; did you mean " CONFIG_PREFIX "%s?", name,
             variables[nearest].name);
}

/* Reports the variables with our prefix that are not ours. Returns how many are errors. */
static int report_other_variables(const struct config *config)
{
    int errors = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        char name[120];
        if (strncmp(*entry, CONFIG_PREFIX, strlen(CONFIG_PREFIX)) != 0)
            continue;
        strlcpy(name, *entry + strlen(CONFIG_PREFIX), sizeof(name));
        name[strcspn(name, "=")] = '\0';
        if (variable_find(name) != NULL)
            continue;
        const char *equals = strchr(*entry, '=');
        int found = foreign_policy_report(config, name, equals != NULL ? equals + 1 : "");
        if (found < 0)
            warn_unknown(name);
        else
            errors += found;
    }
    return errors;
}

/* Reports every value that did not parse, with its reason from reasons, and all other errors.
 * Returns how many there were. */
static int report_all(struct config *config, const char *const *reasons)
{
    int errors = 0;
    for (size_t i = 0; i < variable_count; i++) {
        char full_name[80];
        if (reasons[i] == NULL)
            continue;
        snprintf(full_name, sizeof(full_name), CONFIG_PREFIX "%s", variables[i].name);
        config_report(config, variables[i].name, getenv(full_name), reasons[i]);
        errors++;
    }
    errors += foreign_policy_check_elsewhere(config) + report_other_variables(config);
    return errors + config_check(config);
}

int config_load(struct config *config, const char *program, enum config_need need)
{
    const char *reasons[VARIABLES_MAX] = {0};
    memset(config, 0, sizeof(*config));
    config->need = need;
    config->log_level = LEVEL_INFO;
    for (size_t i = 0; i < variable_count; i++)
        reasons[i] = load(&variables[i], config);
    log_init(program, config->log_level, config->log_format);
    take_default_confdir(config);
    if (config->export_mount[0] == '\0')
        strlcpy(config->export_mount, config->export_dir, sizeof(config->export_mount));
    return need == CONFIG_IS_CHECKED ? 0 : report_all(config, reasons);
}
