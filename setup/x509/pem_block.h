#ifndef SETUP_X509_PEM_BLOCK_H
#define SETUP_X509_PEM_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

/* A part of a PEM text, from one BEGIN line up to the next. So a damaged block does not hide those
 * behind it, as it does in OpenSSL. */
struct pem_block {
    const char *begin;
    size_t size;
};

/* Goes on to the next block of the text, the first one if block->begin is NULL. False if there is
 * none left. The newline between an END and a BEGIN may be missing. */
bool pem_block_next(const char *text, size_t size, struct pem_block *block);

/* Does its BEGIN line say that it is a certificate? */
bool pem_block_is_certificate(const struct pem_block *block);

#endif
