#include "common/config/foreign_policy.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/config/variables.h"

/* The variables of components/egress in github.com/opensandbox-group/OpenSandbox (formerly
 * alibaba/OpenSandbox). The first match counts. A variable that limits or protects something says
 * what; the others have NULL. */
static const struct foreign {
    const char *name; /* without the prefix; a "*" at the end stands for any ending */
    const char *what; /* what the variable limits or protects; NULL: nothing */
} table[] = {
    /* pkg/constants/configuration.go, README.md "Configuration" */
    {"MODE", "the filter on DNS and, with nft, on addresses"},
    {"RULES", "the policy which destinations are allowed"},
    {"POLICY_FILE", "the policy which destinations are allowed"},
    {"DENY_WEBHOOK", "the report of names that were denied"},
    {"BLOCK_DOH_443", "the block on DNS over HTTPS"},
    {"DOH_BLOCKLIST", "the block on DNS over HTTPS"},
    /* The timeout and the probe of DNS_UPSTREAM do not limit anything. */
    {"DNS_UPSTREAM_TIMEOUT", NULL},
    {"DNS_UPSTREAM_PROBE", NULL},
    {"DNS_UPSTREAM_PROBE_INTERVAL_SEC", NULL},
    {"DNS_UPSTREAM", "the choice of name servers"},
    /* An exception: whoever sets it expects a filter on DNS. */
    {"NAMESERVER_EXEMPT", "the filter on DNS, from which this makes an exception"},
    {"TOKEN", NULL}, /* for the interface for policies, which does not exist here */
    {"MAX_RULES", NULL},
    {"SANDBOX_ID", NULL},
    {"METRICS_EXTRA_ATTRS", NULL},
    /* pkg/constants/configuration.go of later versions: the profile, and the files of "fleet" */
    {"PROFILE", NULL},
    {"SLOT_STORE_DIR", NULL},
    {"SLOT_POLL_INTERVAL", NULL},
    {"PENDING_PUSH_TTL", NULL},
    /* pkg/publicegress: PUBLIC_POLICY and the variables of its isolation */
    {"PUBLIC_*", "the policy which internal destinations are allowed"},
    /* docs/mitmproxy-transparent.md, pkg/mitmproxy: UPSTREAM_PROXY, _AUTH, _CA_FILE, ... */
    {"UPSTREAM_PROXY*", "the way out through an upstream proxy"},
    /* docs/guides/credential-vault.md: CREDENTIAL_VAULT_REQUIRE_TLS, _SEED, ... */
    {"CREDENTIAL_*", "the injection and protection of credentials"},
};

/* A name that ends in "*" itself ("CREDENTIAL_*") is found as well. */
static const struct foreign *find(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        size_t length = strcspn(table[i].name, "*");
        bool is_prefix = table[i].name[length] == '*';
        if (is_prefix ? strncmp(name, table[i].name, length) == 0
                      : strcmp(name, table[i].name) == 0)
            return &table[i];
    }
    return NULL;
}

/* Copies value without its white space. False if it does not fit. */
static bool squeeze(char *squeezed, size_t size, const char *value)
{
    size_t used = 0;
    for (; *value != '\0'; value++) {
        if (isspace((unsigned char)*value))
            continue;
        if (used + 1 >= size)
            return false;
        squeezed[used++] = *value;
    }
    squeezed[used] = '\0';
    return true;
}

/* True for an empty value, a word for "off", or a policy that allows everything. Any other word may
 * be a typing error and does not count as "off". */
static bool asks_for_nothing(const char *value)
{
    static const char *const words[] = {"",
                                        "0",
                                        "false",
                                        "no",
                                        "n",
                                        "off",
                                        "none",
                                        "{\"defaultAction\":\"allow\"}",
                                        "{\"defaultAction\":\"allow\",\"egress\":[]}",
                                        "{\"egress\":[],\"defaultAction\":\"allow\"}"};
    char squeezed[64];
    if (!squeeze(squeezed, sizeof(squeezed), value))
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(squeezed, words[i]) == 0)
            return true;
    return false;
}

/* Names are accepted with and without the prefix. */
static const char *without_prefix(const char *item)
{
    size_t length = strlen(CONFIG_PREFIX);
    return strncmp(item, CONFIG_PREFIX, length) == 0 ? item + length : item;
}

static bool is_enforced_elsewhere(const struct config *config, const char *name,
                                  const struct foreign *foreign)
{
    const struct list *elsewhere = &config->enforced_elsewhere;
    for (size_t i = 0; i < elsewhere->count; i++) {
        const char *item = without_prefix(elsewhere->items[i]);
        if (strcmp(item, name) == 0 || strcmp(item, foreign->name) == 0)
            return true;
    }
    return false;
}

int foreign_policy_report(const struct config *config, const char *name, const char *value)
{
    const struct foreign *foreign = find(name);
    if (foreign == NULL)
        return -1;
    if (foreign->what == NULL) {
        log_warn(CONFIG_PREFIX "%s: has no effect here; only OpenSandbox's own egress component "
                               "knows it",
                 name);
        return 0;
    }
    if (asks_for_nothing(value) || is_enforced_elsewhere(config, name, foreign))
        return 0;
    config_complain(config,
                    CONFIG_PREFIX
                    "%s: %s is not enforced here: remove the variable, or say by " CONFIG_PREFIX
                    "ENFORCED_ELSEWHERE=%s that another container does it",
                    name, foreign->what, name);
    return 1;
}

int foreign_policy_check_elsewhere(const struct config *config)
{
    const struct list *elsewhere = &config->enforced_elsewhere;
    int errors = 0;
    for (size_t i = 0; i < elsewhere->count; i++) {
        const struct foreign *foreign = find(without_prefix(elsewhere->items[i]));
        if (foreign != NULL && foreign->what != NULL)
            continue;
        config_report(config, "ENFORCED_ELSEWHERE", elsewhere->items[i],
                      "is not a variable that limits or protects anything");
        errors++;
    }
    return errors;
}
