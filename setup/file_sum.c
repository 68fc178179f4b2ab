#include "setup/file_sum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "setup/sources.h"

/* More than the coarsest times (ext4 with small inodes, some network file systems) are apart. */
enum { SETTLED_S = 2 };

void file_sum_begin(struct file_sum *sum)
{
    SHA256Init(&sum->digest);
    sum->youngest = 0;
    sum->unsure = false;
}

void file_sum_add(struct file_sum *sum, const void *data, size_t size)
{
    SHA256Update(&sum->digest, data, size);
}

void file_sum_add_text(struct file_sum *sum, const char *text)
{
    file_sum_add(sum, text, strlen(text) + 1);
}

static void add_at(struct file_sum *sum, int directory, const char *name, int flags)
{
    struct stat st = {0};
    int error = fstatat(directory, name, &st, flags) == 0 ? 0 : errno;
    const struct {
        uint64_t inode;
        int64_t changed;
        uint32_t nanoseconds;
        int32_t error;
    } seen = {st.st_ino, st.st_ctim.tv_sec, (uint32_t)st.st_ctim.tv_nsec, error};
    file_sum_add(sum, &seen, sizeof(seen));
    if (st.st_ctime > sum->youngest)
        sum->youngest = st.st_ctime;
    sum->unsure = sum->unsure || (error != 0 && error != ENOENT && error != ENOTDIR);
}

void file_sum_add_file(struct file_sum *sum, const char *path, int flags)
{
    add_at(sum, AT_FDCWD, path, flags);
}

void file_sum_add_directory(struct file_sum *sum, const char *path, int flags, bool hashed_only)
{
    add_at(sum, AT_FDCWD, path, 0);
    DIR *list = opendir(path);
    if (list == NULL) {
        sum->unsure = sum->unsure || errno != ENOENT;
        return;
    }
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            (!hashed_only || is_hashed_name(name)))
            add_at(sum, dirfd(list), name, flags);
    }
    closedir(list);
}

void file_sum_end(struct file_sum *sum, char hex[static FILE_SUM_SIZE])
{
    SHA256End(&sum->digest, hex);
}

bool file_sum_is_reliable(const struct file_sum *sum)
{
    return !sum->unsure && time(NULL) - sum->youngest >= SETTLED_S;
}
