#ifndef COMMON_FILES_FILES_H
#define COMMON_FILES_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

/* File operations for places in which somebody hostile may write: everything is judged through the
 * open descriptor, never by path and then path again. Descriptors are close-on-exec. */

/* What a file must be to be read: regular, one link at most, at most max_size bytes, owned by root,
 * the caller or owner. */
struct file_limits {
    off_t max_size;
    uid_t owner;
};

/* Opens a directory by absolute path. A symbolic link on the way is followed only where nobody but
 * root or the caller can have put it; the last component is never one, unless so trusted. Returns a
 * descriptor that the caller closes, or -1 with error. */
int directory_open(const char *path, struct error *error);

/* The same, and makes what is missing: directories above with mode 0755, the last one with mode,
 * all owned by the caller. */
int directory_make(const char *path, mode_t mode, struct error *error);

/* Locks an open file or directory against others that do the same, for as long as the descriptor is
 * open. Waits for so many milliseconds at most. 0, or -1 with errno (EWOULDBLOCK). */
int file_lock(int fd, int wait_ms);

/* Removes temporary files of file_replace that a process which was killed has left. */
void directory_clean(int directory);

/* Opens the directory of a file's absolute path, and points *name to the last component in path. */
int directory_of(const char *path, const char **name, struct error *error);

/* Opens a file for reading and checks it against the limits. Neither a FIFO nor a device blocks it.
 * path stands in messages only. Returns a descriptor, or -1 with error and errno (ENOENT if it is
 * not there). */
int file_open(int directory, const char *name, const struct file_limits *limits, const char *path,
              struct error *error);

/* Reads a whole file into newly allocated memory (the caller frees it), with a NUL behind it that
 * does not count. Returns NULL with error and errno as file_open does. */
char *file_read(int directory, const char *name, const struct file_limits *limits, const char *path,
                size_t *size, struct error *error);

/* Reads what is left behind an open descriptor, at most max bytes, as file_read does. */
char *file_read_open(int fd, size_t max, const char *path, size_t *size, struct error *error);

/* What a file is to be. */
struct file_content {
    const char *path; /* for messages */
    const void *data;
    size_t size;
    mode_t mode;
    bool durable; /* on disk when the call returns; else only whole */
};

/* Puts a file in place of whatever has the name, whole or not at all: temporary file, (fsync,)
 * rename. Owner is the caller. 0, or -1 with error. */
int file_replace(int directory, const char *name, const struct file_content *content,
                 struct error *error);

/* The same, unless a file of the caller's with that content and mode is there already. */
int file_update(int directory, const char *name, const struct file_content *content,
                struct error *error);

#endif
