#ifndef COMMON_FILES_FILES_H
#define COMMON_FILES_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

/* File operations for directories that an attacker may write to. A file is checked through its open
 * descriptor, and a path is never resolved twice. Descriptors are close-on-exec. */

/* What a file must be to be read: regular, one link at most, at most max_size bytes, owned by root,
 * the caller or owner. */
struct file_limits {
    off_t max_size;
    uid_t owner;
};

/* Opens a directory by absolute path. A symbolic link, also as the last component, is followed only
 * where nobody but root or the caller can have made it. Returns a descriptor that the caller
 * closes, or -1 with error. */
int directory_open(const char *path, struct error *error);

/* The same, and makes missing directories, owned by the caller: the last one with mode, those above
 * it with mode 0755. */
int directory_make(const char *path, mode_t mode, struct error *error);

/* Locks an open file or directory against others that do the same, for as long as the descriptor is
 * open. Waits at most wait_ms milliseconds. 0, or -1 with errno (EWOULDBLOCK). */
int file_lock(int fd, int wait_ms);

/* Removes temporary files of file_replace that a killed process has left behind. */
void directory_clean(int directory);

/* Opens the directory of a file's absolute path, and points *name to the last component in path. */
int directory_of(const char *path, const char **name, struct error *error);

/* Opens a file for reading and checks it against the limits. Neither a FIFO nor a device blocks it.
 * path is only for messages. Returns a descriptor, or -1 with error and errno (ENOENT if there is
 * no such file). */
int file_open(int directory, const char *name, const struct file_limits *limits, const char *path,
              struct error *error);

/* Reads a whole file into newly allocated memory, which the caller frees, and adds a NUL that size
 * does not count. Returns NULL with error and errno as file_open does. */
char *file_read(int directory, const char *name, const struct file_limits *limits, const char *path,
                size_t *size, struct error *error);

/* Reads the rest of an open file, at most max bytes, as file_read does. */
char *file_read_open(int fd, size_t max, const char *path, size_t *size, struct error *error);

/* A file that is to be written. */
struct file_content {
    const char *path; /* for messages */
    const void *data;
    size_t size;
    mode_t mode;
    bool durable; /* synced to disk before the call returns */
};

/* Replaces whatever has the name by a file of the caller's, completely or not at all: writes a
 * temporary file, syncs it if durable, and renames it. 0, or -1 with error. */
int file_replace(int directory, const char *name, const struct file_content *content,
                 struct error *error);

/* The same, unless a file of the caller's with that content and mode is there already. */
int file_update(int directory, const char *name, const struct file_content *content,
                struct error *error);

#endif
