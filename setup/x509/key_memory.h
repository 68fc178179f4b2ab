#ifndef SETUP_X509_KEY_MEMORY_H
#define SETUP_X509_KEY_MEMORY_H

/* Makes OpenSSL clear all memory that it frees: it clears keys itself, but not every buffer through
 * which a key has gone. To be called before any other function of OpenSSL's. */
void key_memory_clear_on_free(void);

#endif
