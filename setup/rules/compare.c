#include "setup/rules/compare.h"

#include <stdlib.h>
#include <string.h>

/* A text as its lines, which point into it. */
struct lines {
    char *text;
    size_t count;
    char **at;
};

static int split(const char *text, struct lines *lines)
{
    size_t most = 1;
    for (const char *c = text; *c != '\0'; c++)
        most += *c == '\n';
    lines->count = 0;
    lines->text = strdup(text);
    lines->at = calloc(most, sizeof(*lines->at));
    if (lines->text == NULL || lines->at == NULL)
        return -1;
    char *rest = lines->text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        if (line[strspn(line, " \t")] != '\0')
            lines->at[lines->count++] = line;
    return 0;
}

/* lengths[i][j]: of the longest common subsequence of wanted from i and live from j. */
static size_t *measure(const struct lines *wanted, const struct lines *live)
{
    size_t width = live->count + 1;
    size_t *lengths = calloc((wanted->count + 1) * width, sizeof(*lengths));
    for (size_t i = wanted->count; lengths != NULL && i-- > 0;)
        for (size_t j = live->count; j-- > 0;) {
            size_t skip_wanted = lengths[(i + 1) * width + j];
            size_t skip_live = lengths[i * width + j + 1];
            lengths[i * width + j] = strcmp(wanted->at[i], live->at[j]) == 0
                                         ? lengths[(i + 1) * width + j + 1] + 1
                                     : skip_wanted > skip_live ? skip_wanted
                                                               : skip_live;
        }
    return lengths;
}

static int print(const struct lines *wanted, const struct lines *live, const size_t *lengths,
                 FILE *out)
{
    size_t width = live->count + 1;
    size_t i = 0, j = 0;
    int differences = 0;
    while (i < wanted->count || j < live->count) {
        if (i < wanted->count && j < live->count && strcmp(wanted->at[i], live->at[j]) == 0) {
            fprintf(out, "  ok       %s\n", wanted->at[i]);
            i++, j++;
            continue;
        }
        differences++;
        if (j == live->count ||
            (i < wanted->count && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]))
            fprintf(out, "  MISSING  %s\n", wanted->at[i++]);
        else
            fprintf(out, "  EXTRA    %s\n", live->at[j++]);
    }
    return differences;
}

int compare_lines(const char *wanted, const char *live, FILE *out)
{
    struct lines left = {0}, right = {0};
    size_t *lengths = NULL;
    int differences = -1;
    if (split(wanted, &left) == 0 && split(live, &right) == 0)
        lengths = measure(&left, &right);
    if (lengths != NULL)
        differences = print(&left, &right, lengths, out);
    free(lengths);
    free(left.at);
    free(left.text);
    free(right.at);
    free(right.text);
    return differences;
}
