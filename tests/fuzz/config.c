/* The configuration. The input is the environment, a line "NAME=value" each without the prefix: it
 * goes value by value through the parsers, and as a whole through config_load(), whose log is read
 * back. Run it in the top directory. */
#include "common/config/load.h"
#include "common/config/variables.h"

#include <string.h>
#include <unistd.h>

#include "tests/fuzz/config_fields.h"
#include "tests/fuzz/config_log.h"
#include "tests/fuzz/fuzz.h"

enum { ENTRIES_MAX = 40, UNKNOWN_MAX = 1, ENTRY_MAX = 4400 };

extern char **environ;

/* What is known of a variable's value from its parser alone. */
struct verdict {
    bool set; /* to something that is not empty */
    bool wrong;
    char text[2 * CONFIG_VALUE_MAX]; /* of the field, printed */
};

static struct {
    size_t count;
    char *entries[ENTRIES_MAX + 3];
    char text[ENTRIES_MAX][ENTRY_MAX];
    size_t unknown;
    bool foreign; /* an unknown one may be the other tool's */
} environment;

static struct verdict verdicts[VARIABLES];

static void print(const struct expected *variable, const void *field, char *text, size_t size)
{
    FILE *out = fmemopen(text, size, "w");
    CHECK(out != NULL);
    variable->print(field, out);
    long length = ftell(out);
    fclose(out);
    CHECK(length >= 0 && length < (long)size);
    text[length] = '\0'; /* fclose(3) leaves that out after nothing */
}

/* A value that is as the parsers expect it. */
static void judge(const struct expected *variable, const char *value, struct verdict *verdict)
{
    static union field field;
    static const size_t nothing;
    static char again[sizeof(verdict->text)];
    memset(&field, 0, sizeof(field));
    verdict->wrong = variable->parse(value, &field) != NULL;
    if (verdict->wrong) {
        /* Later checks take it as not set. */
        CHECK(memcmp(&field, &nothing, sizeof(nothing)) == 0);
        return;
    }
    print(variable, &field, verdict->text, sizeof(verdict->text));
    if (verdict->text[0] == '\0')
        return; /* a list of nothing */
    memset(&field, 0xa5, sizeof(field));
    CHECK(variable->parse(verdict->text, &field) == NULL);
    print(variable, &field, again, sizeof(again));
    CHECK(strcmp(again, verdict->text) == 0);
}

/* As it stands in the environment, NULL if it does not. */
static void judge_raw(const struct expected *variable, const char *raw, struct verdict *verdict)
{
    char value[CONFIG_VALUE_MAX];
    memset(verdict, 0, sizeof(*verdict));
    if (raw == NULL)
        return;
    raw += strspn(raw, " \t\n\v\f\r");
    size_t length = strlen(raw);
    while (length > 0 && strchr(" \t\n\v\f\r", raw[length - 1]) != NULL)
        length--;
    verdict->set = length > 0;
    verdict->wrong = length >= sizeof(value);
    if (length == 0 || verdict->wrong)
        return;
    memcpy(value, raw, length);
    value[length] = '\0';
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
            verdict->wrong = true;
    if (!verdict->wrong)
        judge(variable, value, verdict);
}

/* Errs on the side of yes. */
static bool is_foreign(const char *name)
{
    static const char *const begins[] = {
        "MODE", "RULES",   "POLICY", "DENY_", "BLOCK_", "DOH_", "DNS_",       "NAME", "TOKEN",
        "MAX_", "SANDBOX", "METR",   "PROF",  "SLOT_",  "PEND", "CREDENTIAL", "PUBL", "UPST"};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* A line becomes an entry. Few unknown ones will do, and they take long: each is compared with
 * every name. */
static void add_line(const char *line, size_t length)
{
    static const size_t prefix_size = sizeof(CONFIG_PREFIX) - 1;
    char *entry = environment.text[environment.count];
    char *name = entry + prefix_size;
    length = strnlen(line, length < ENTRY_MAX - prefix_size ? length : ENTRY_MAX - prefix_size - 1);
    memcpy(entry, CONFIG_PREFIX, prefix_size);
    memcpy(name, line, length);
    name[length] = '\0';
    bool unknown = field_find(name, strcspn(name, "=")) == NULL;
    if (unknown && environment.unknown == UNKNOWN_MAX)
        return;
    environment.unknown += unknown;
    environment.foreign |= unknown && is_foreign(name);
    environment.entries[environment.count++] = entry;
}

/* Not by setenv(3), which keeps all that it was ever given. What a configuration cannot do without
 * comes last, so that it can be had otherwise. */
static void fill_environment(const char *data, size_t size)
{
    static char scripts_dir[PATH_MAX] = CONFIG_PREFIX "MITMPROXY_SCRIPTS_DIR=";
    static char path[] = "PATH=/usr/bin:/bin";
    const char *end = data + size;
    environment.count = 0;
    environment.unknown = 0;
    environment.foreign = false;
    while (data < end && environment.count < ENTRIES_MAX) {
        const char *line_end = memchr(data, '\n', (size_t)(end - data));
        size_t length = (size_t)((line_end != NULL ? line_end : end) - data);
        add_line(data, length);
        data += length + 1;
    }
    size_t used = strlen(scripts_dir);
    if (scripts_dir[used - 1] == '=') {
        CHECK(getcwd(scripts_dir + used, sizeof(scripts_dir) - used) != NULL);
        CHECK(strlcat(scripts_dir, "/mitmscripts", sizeof(scripts_dir)) < sizeof(scripts_dir));
    }
    environment.entries[environment.count] = scripts_dir;
    environment.entries[environment.count + 1] = path;
    environment.entries[environment.count + 2] = NULL;
}

static const char *value_of(const char *name)
{
    const size_t prefix_size = strlen(CONFIG_PREFIX);
    size_t length = strlen(name);
    for (size_t i = 0; environment.entries[i] != NULL; i++) {
        const char *entry = environment.entries[i];
        if (strncmp(entry, CONFIG_PREFIX, prefix_size) == 0 &&
            strncmp(entry + prefix_size, name, length) == 0 && entry[prefix_size + length] == '=')
            return entry + prefix_size + length + 1;
    }
    return NULL;
}

/* The log is config_log's then. */
static int load(struct config *config)
{
    char **own_environment = environ;
    log_begin();
    environ = environment.entries;
    int errors = config_load(config, "fuzz", CONFIG_MUST_HOLD);
    environ = own_environment;
    log_end();
    return errors;
}

/* What was not complained of is what the parser alone made of it; and everything else was. */
static int check_values(const struct config *config)
{
    static char text[sizeof(verdicts[0].text)];
    int wrong = 0;
    for (size_t i = 0; i < VARIABLES; i++) {
        const struct expected *variable = &fields[i];
        const void *field = (const char *)config + variable->offset;
        wrong += verdicts[i].wrong;
        CHECK(!verdicts[i].wrong ||
              log_complains_of(variable->name, config->log_format == FORMAT_JSON));
        /* A program that was found on PATH has a path now. */
        bool kept = variable->offset != offsetof(struct config, bin) || !config->transparent;
        if (!verdicts[i].set || verdicts[i].wrong || !kept)
            continue;
        print(variable, field, text, sizeof(text));
        CHECK(strcmp(text, verdicts[i].text) == 0);
    }
    return wrong;
}

static bool is_extra_port(const struct config *config, uint16_t port)
{
    for (size_t i = 0; i < config->extra_ports.count; i++)
        if (config->extra_ports.ranges[i].first == port &&
            config->extra_ports.ranges[i].last == port)
            return true;
    return false;
}

/* What a configuration that was accepted may be relied on for. */
static void check_accepted(const struct config *config)
{
    CHECK(config->port != 0 && config->http.port != 0);
    CHECK(config->confdir[0] == '/' && config->state_file[0] == '/');
    CHECK(config->export_dir[0] == '/' && config->export_mount[0] == '/');
    if (!config->transparent)
        return;
    CHECK(config->port != config->http.port && config->port != 80 && config->port != 443);
    CHECK(config->port != 9 && config->http.port != 9);
    CHECK(!is_extra_port(config, config->port));
    CHECK(config->bin[0] == '/');
    CHECK(config->user.known && config->user.uid != 0 && config->user.gid != 0);
    CHECK(config->user.uid != config->healthd_user.uid);
    CHECK(config->healthd_user.known && config->healthd_user.uid != 0);
}

/* No variable of --help is missing here. */
static void check_table(void)
{
    static char text[1 << 16];
    FILE *out = fmemopen(text, sizeof(text), "w");
    CHECK(out != NULL);
    config_print_help(out);
    fclose(out);
    int rows = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (line[2] == ' ')
            continue; /* what it means */
        CHECK(field_find(line + 2, strcspn(line + 2, "\n")) != NULL);
        rows++;
    }
    CHECK(rows == VARIABLES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    static bool table_checked;
    if (!table_checked)
        check_table();
    table_checked = true;
    fill_environment((const char *)data, size);
    for (size_t i = 0; i < VARIABLES; i++)
        judge_raw(&fields[i], value_of(fields[i].name), &verdicts[i]);
    int errors = load(&config);
    bool json = config.log_format == FORMAT_JSON;
    CHECK(errors >= 0 && log_count("error", json) == (size_t)errors);
    /* One that the other tool knows may be an error instead, or in order. */
    CHECK(log_count("warn", json) <= (config.log_level <= LEVEL_WARN ? environment.unknown : 0));
    CHECK(environment.foreign || config.log_level > LEVEL_WARN ||
          log_count("warn", json) == environment.unknown);
    int wrong = check_values(&config);
    bool more = config.transparent || environment.foreign || config.enforced_elsewhere.count > 0;
    CHECK(more ? errors >= wrong : errors == wrong);
    if (errors == 0)
        check_accepted(&config);
    return 0;
}
