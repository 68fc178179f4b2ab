#ifndef SETUP_FILE_SUM_H
#define SETUP_FILE_SUM_H

#include <sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* A digest of which files there are and when they were last changed: whatever is done to a file's
 * content, mode or owner, or to a directory's names, changes that time, and nobody can set it but
 * whoever makes the image of a read-only file system. There the size and the time of writing may
 * tell two files apart; only the content is certain to. The device is left out: the same image is
 * mounted anew for each container. */
struct file_sum {
    SHA2_CTX digest;
    time_t youngest; /* when the youngest of the files was changed */
    bool unsure;     /* something could not be looked at, or has no real time of change */
};

enum { FILE_SUM_SIZE = SHA256_DIGEST_STRING_LENGTH }; /* in hex, with its NUL */

void file_sum_begin(struct file_sum *sum);

void file_sum_add(struct file_sum *sum, const void *data, size_t size);
void file_sum_add_text(struct file_sum *sum, const char *text);

/* Adds a file, or that there is none. flags are those of fstatat(2). */
void file_sum_add_file(struct file_sum *sum, const char *path, int flags);

/* The same with its content, at most max bytes, which may be a private key. Links are followed. */
void file_sum_add_content(struct file_sum *sum, const char *path, size_t max);

/* Adds a directory and all that is in it, or only what has a hashed name (setup/sources.h).
 */
void file_sum_add_directory(struct file_sum *sum, const char *path, int flags, bool hashed_only);

void file_sum_end(struct file_sum *sum, char hex[static FILE_SUM_SIZE]);

/* Was all seen, and would a change from now on show? Not in the time of a file that was changed
 * just now: file systems count in ticks of the kernel's clock, or in seconds. */
bool file_sum_is_reliable(const struct file_sum *sum);

#endif
