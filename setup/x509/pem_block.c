#include "setup/x509/pem_block.h"

#include <openssl/pem.h>
#include <string.h>

#define BEGIN "-----BEGIN "
#define END "-----END "

/* Is the BEGIN at the start of its line (a byte order mark may precede it), or behind an END
 * without a newline? Else it is a remark, as in OpenSSL. */
static bool is_in_place(const char *text, const char *at)
{
    const char *newline = memrchr(text, '\n', (size_t)(at - text));
    const char *line = newline != NULL ? newline + 1 : text;
    if (line == text && at - text == 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return true;
    return line == at || memmem(line, (size_t)(at - line), END, strlen(END)) != NULL;
}

/* The next BEGIN line at or after from, end if there is none. */
static const char *find_begin(const char *text, const char *from, const char *end)
{
    const char *at = memmem(from, (size_t)(end - from), BEGIN, strlen(BEGIN));
    while (at != NULL && !is_in_place(text, at))
        at = memmem(at + 1, (size_t)(end - at - 1), BEGIN, strlen(BEGIN));
    return at != NULL ? at : end;
}

bool pem_block_next(const char *text, size_t size, struct pem_block *block)
{
    const char *end = text + size;
    block->begin = find_begin(text, block->begin == NULL ? text : block->begin + block->size, end);
    if (block->begin == end)
        return false;
    block->size = (size_t)(find_begin(text, block->begin + 1, end) - block->begin);
    return true;
}

bool pem_block_is_certificate(const struct pem_block *block)
{
    static const char begin[] = BEGIN PEM_STRING_X509 "-";
    return block->size >= strlen(begin) && memcmp(block->begin, begin, strlen(begin)) == 0;
}
