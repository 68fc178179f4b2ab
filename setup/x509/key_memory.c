#include "setup/x509/key_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static void *take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return malloc(size);
}

static void clear_and_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    if (memory != NULL)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

/* realloc(3) would leave a copy where the memory was. */
static void *resize(void *memory, size_t size, const char *file, int line)
{
    if (memory == NULL)
        return take(size, file, line);
    if (size == 0) {
        clear_and_free(memory, file, line);
        return NULL;
    }
    void *resized = malloc(size);
    if (resized == NULL)
        return NULL;
    size_t old_size = malloc_usable_size(memory);
    memcpy(resized, memory, old_size < size ? old_size : size);
    clear_and_free(memory, file, line);
    return resized;
}

void key_memory_clear_on_free(void)
{
    CRYPTO_set_mem_functions(take, resize, clear_and_free);
}
