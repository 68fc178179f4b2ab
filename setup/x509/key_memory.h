#ifndef SETUP_X509_KEY_MEMORY_H
#define SETUP_X509_KEY_MEMORY_H

/* Makes OpenSSL clear all memory that it gives back: it clears keys itself, but not every buffer
 * through which one has gone. To be called before anything else of OpenSSL's. */
void key_memory_clear_on_free(void);

#endif
