#include "setup/rules/backend.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/process/privileges.h"
#include "setup/nft/run.h"
#include "setup/nft/table.h"
#include "setup/nft/text.h"

/* The nft backend: a table of our own for both families, and one for the gate, replaced in one
 * transaction. Each list of rules is a chain; base chains lead to them. The gate is here whatever
 * the backend of the other rules is: then the first table is not wanted. */

/* Our tables before a change as text, "" for none. */
struct nft_undo {
    char *text;
};

static bool wants_rules(const struct ruleset *set)
{
    return rules_count(set) > 0;
}

static bool wants_gate(const struct ruleset *set)
{
    return set->gate.count > 0;
}

/* Does a listing have that table? */
static bool has_table(const char *listing, const char *table)
{
    char head[64];
    snprintf(head, sizeof(head), "table %s", table);
    return strstr(listing, head) != NULL;
}

/* Empties a table, which is added first, so that it can be deleted. */
#define EMPTY(table) "add table " table "\ndelete table " table "\n"

static void print_script(const struct ruleset *set, FILE *out)
{
    fputs(wants_rules(set) ? EMPTY(NFT_TABLE) : "", out);
    fputs(wants_gate(set) ? EMPTY(NFT_GATE) : "", out);
    nft_print_tables(set, out);
}

/* Does the error mean that the kernel lacks nf_tables or a part of it, or did it only fail now? */
static bool says_absent(const char *text)
{
    static const char *const words[] = {"Operation not supported",   "Protocol not supported",
                                        "No such file or directory", "Invalid argument",
                                        "is not supported",          "unknown chain hook"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(text, words[i]) != NULL)
            return true;
    return false;
}

/* libnftables describes a failure in three lines: its place and kind, the line that failed, and a
 * mark below that. */
static void set_error(char *text, struct error *error)
{
    char *rest = text;
    const char *kind = strsep(&rest, "\n");
    const char *command = rest != NULL ? strsep(&rest, "\n") : "";
    const char *place_end = strstr(kind, ": Error: ");
    bool permission = !capability_held(CAP_NET_ADMIN);
    kind = place_end != NULL ? place_end + strlen(": ") : kind;
    command += strspn(command, " \t");
    int status = permission ? EX_NOPERM : says_absent(kind) ? EX_UNAVAILABLE : 1;
    error_set(error, status, "nft: table " NFT_TABLE ": %s%s%s%s", kind,
              command[0] != '\0' ? ": " : "", command, permission ? " (needs CAP_NET_ADMIN)" : "");
}

/* Runs commands. Returns what they print in newly allocated memory, or NULL with error. */
static char *run(const char *commands, enum nft_mode mode, struct error *error)
{
    struct nft_answer answer;
    if (nft_run(commands, mode, &answer, error) != 0)
        return NULL;
    if (answer.succeeded)
        return answer.text;
    set_error(answer.text, error);
    free(answer.text);
    return NULL;
}

/* What some versions of nft list differently, and how text.c writes it. */
static const struct {
    const char *listed, *ours; /* ours must not be longer */
} spellings[] = {
    {"priority dstnat - 10;", "priority -110;"},
    {"ip frag-off & 0x3fff != 0x0", "ip frag-off & 16383 != 0"},
    {"ip frag-off & 0x1fff != 0x0", "ip frag-off & 8191 != 0"},
    {"tcp flags & (syn | rst | ack) == (syn | ack)", "tcp flags syn,ack / syn,rst,ack"},
    {"tcp flags & (syn | rst | ack) == syn | ack", "tcp flags syn,ack / syn,rst,ack"},
    {"tcp flags & (syn | rst | ack) == syn", "tcp flags syn / syn,rst,ack"},
};

static char *normalize(char *text)
{
    for (size_t i = 0; text != NULL && i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        size_t length = strlen(spellings[i].ours), listed_length = strlen(spellings[i].listed);
        char *found = text;
        while ((found = strstr(found, spellings[i].listed)) != NULL) {
            const char *rest = found + listed_length;
            memcpy(found, spellings[i].ours, length);
            memmove(found + length, rest, strlen(rest) + 1);
            found += length;
        }
    }
    return text;
}

/* The text of our tables, "" if there is none. */
static char *read_live(struct error *error)
{
    int rules = nft_table_is_there(NFPROTO_INET);
    int gate = nft_table_is_there(NFPROTO_NETDEV);
    if (rules < 0 || gate < 0) {
        char *tables = run("list tables", NFT_LIST, error);
        if (tables == NULL)
            return NULL;
        rules = has_table(tables, NFT_TABLE "\n");
        gate = has_table(tables, NFT_GATE "\n");
        free(tables);
    }
    if (rules == 0 && gate == 0)
        return strdup("");
    return normalize(run(gate == 0    ? "list table " NFT_TABLE
                         : rules == 0 ? "list table " NFT_GATE
                                      : "list table " NFT_TABLE "\nlist table " NFT_GATE,
                         NFT_LIST, error));
}

/* The set's tables as text, which the caller frees. NULL with error. */
static char *print_tables(const struct ruleset *set, struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        nft_print_tables(set, out);
        if (fclose(out) == 0)
            return text;
    }
    error_set(error, 1, "nft: %s", strerror(errno));
    free(text);
    return NULL;
}

/* Replaces our tables, those of the set and of an earlier listing, by those of a text; or with
 * NFT_CHECK asks whether the kernel would take them: one may have nf_tables without each of its
 * modules (fib, redirect and reject are modules of their own). 0, or -1 with error. */
static int replace(const struct ruleset *set, const char *earlier, const char *tables,
                   enum nft_mode mode, struct error *error)
{
    bool rules = wants_rules(set) || has_table(earlier, NFT_TABLE);
    bool gate = wants_gate(set) || has_table(earlier, NFT_GATE);
    char *script;
    if (asprintf(&script, "%s%s%s", rules ? EMPTY(NFT_TABLE) : "", gate ? EMPTY(NFT_GATE) : "",
                 tables) < 0)
        return error_set(error, 1, "nft: %s", strerror(errno));
    char *printed = run(script, mode, error);
    free(script);
    free(printed);
    return printed != NULL ? 0 : -1;
}

static int check(const struct ruleset *set, struct error *error)
{
    if (!capability_held(CAP_NET_ADMIN))
        return error_set(error, EX_NOPERM, "nft: needs CAP_NET_ADMIN");
    if (nft_run_check(error) != 0)
        return -1;
    char *live = read_live(error);
    char *wanted = live != NULL ? print_tables(set, error) : NULL;
    int result = wanted != NULL ? 0 : -1;
    if (result == 0 && strcmp(live, wanted) != 0 && wanted[0] != '\0')
        result = replace(set, "", wanted, NFT_CHECK, error);
    free(live);
    free(wanted);
    return result;
}

static bool is_absent(void)
{
    return nft_table_is_there(NFPROTO_INET) == 0 && nft_table_is_there(NFPROTO_NETDEV) == 0;
}

/* Nothing to leave out: one table holds both families. */
static void trim(struct ruleset *set)
{
    (void)set;
}

static void undo_free(void *undo)
{
    struct nft_undo *before = undo;
    if (before != NULL)
        free(before->text);
    free(before);
}

static int take_back(const struct ruleset *set, const void *undo, struct error *error)
{
    const struct nft_undo *before = undo;
    return replace(set, before->text, before->text, NFT_RUN, error);
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* Reads the table again after writing it, and does not trust the answer alone. */
static int write_and_verify(const struct ruleset *set, const char *before, const char *wanted,
                            struct error *error)
{
    int result = replace(set, before, wanted, NFT_RUN, error);
    if (result != 0)
        return -1;
    char *live = read_live(error);
    if (live == NULL)
        return -1;
    if (count_lines(live) != count_lines(wanted))
        result = error_set(error, EX_UNAVAILABLE,
                           "nft: table " NFT_TABLE " does not hold what was written to it");
    else if (strcmp(live, wanted) != 0)
        log_warn("nft: this libnftables lists table " NFT_TABLE " otherwise than was expected");
    free(live);
    return result;
}

static int apply(const struct ruleset *set, bool *changed, void **undo, struct error *error)
{
    struct error undo_error;
    int result = -1;
    char *wanted = print_tables(set, error);
    struct nft_undo *before = calloc(1, sizeof(*before));
    *undo = NULL;
    if (wanted == NULL || before == NULL)
        goto out;
    before->text = read_live(error);
    if (before->text == NULL)
        goto out;
    result = 0;
    if (strcmp(before->text, wanted) == 0)
        goto out;
    result = write_and_verify(set, before->text, wanted, error);
    if (result != 0 && take_back(set, before, &undo_error) != 0)
        log_error("cannot put the rules back as they were: %s", undo_error.text);
    if (result != 0)
        goto out;
    *changed = true;
    *undo = before;
    before = NULL;
out:
    undo_free(before);
    free(wanted);
    return result;
}

static int print_live(const struct ruleset *set, FILE *out, struct error *error)
{
    (void)set;
    char *live = read_live(error);
    if (live == NULL)
        return -1;
    fputs(live, out);
    free(live);
    return 0;
}

const struct backend nft_backend = {
    .name = "nft",
    .check = check,
    .is_absent = is_absent,
    .trim = trim,
    .apply = apply,
    .take_back = take_back,
    .undo_free = undo_free,
    .print_wanted = nft_print_tables,
    .print_live = print_live,
    .print_script = print_script,
};
