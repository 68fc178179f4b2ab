#include "setup/rules/compare.h"

#include <stdbool.h>
#include <string.h>

/* The length of the line at the beginning of a text. */
static size_t line_length(const char *text)
{
    return strcspn(text, "\n");
}

/* The next line that is not empty, or the end. */
static const char *after_line(const char *text)
{
    text += line_length(text);
    return text + strspn(text, "\n");
}

static bool lines_equal(const char *a, const char *b)
{
    size_t length = line_length(a);
    return length == line_length(b) && memcmp(a, b, length) == 0;
}

/* The place of a line in a text, or NULL. */
static const char *find_line(const char *text, const char *line)
{
    while (*text != '\0' && !lines_equal(text, line))
        text = after_line(text);
    return *text != '\0' ? text : NULL;
}

static void print_line(FILE *out, const char *verdict, const char *line)
{
    fprintf(out, "  %-8s %.*s\n", verdict, (int)line_length(line), line);
}

int compare_lines(const char *wanted, const char *live, FILE *out)
{
    int differences = 0;
    for (; *wanted != '\0'; wanted = after_line(wanted)) {
        const char *found = find_line(live, wanted);
        differences += found == NULL;
        for (; found != NULL && live != found; live = after_line(live), differences++)
            print_line(out, "EXTRA", live);
        if (found != NULL)
            live = after_line(live);
        print_line(out, found != NULL ? "ok" : "MISSING", wanted);
    }
    for (; *live != '\0'; live = after_line(live), differences++)
        print_line(out, "EXTRA", live);
    return differences;
}
