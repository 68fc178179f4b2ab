/*
 * FAULT_NFT_WORDS=1: libnftables lists our rules in the words of version 1.1, whichever it is.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault_plan.h"

static const char *const words[][2] = {
    {"tcp flags syn / syn,rst,ack", "tcp flags & (syn | rst | ack) == syn"},
    {"tcp flags syn,ack / syn,rst,ack", "tcp flags & (syn | rst | ack) == syn | ack"},
    {"priority -100;", "priority dstnat;"},
};

static char *with_words(const char *text, const char *from, const char *to)
{
    char *result = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&result, &size);

    if (out == NULL)
        abort();
    for (const char *found; (found = strstr(text, from)) != NULL; text = found + strlen(from))
        fprintf(out, "%.*s%s", (int)(found - text), text, to);
    fputs(text, out);
    fclose(out);
    return result;
}

const char *nft_ctx_get_output_buffer(void *context);
const char *nft_ctx_get_output_buffer(void *context)
{
    static char *listing;
    void *real = dlsym(RTLD_NEXT, "nft_ctx_get_output_buffer");
    const char *(*get)(void *);

    if (real == NULL)
        abort();
    memcpy(&get, &real, sizeof(get));
    if (setting("FAULT_NFT_WORDS") == NULL)
        return get(context);
    free(listing);
    listing = strdup(get(context));
    for (size_t i = 0; listing != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
        char *next = with_words(listing, words[i][0], words[i][1]);
        free(listing);
        listing = next;
    }
    return listing;
}
