#include "setup/file_sum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "setup/trust_sources.h"

void file_sum_begin(struct file_sum *sum)
{
    SHA256Init(&sum->digest);
    sum->youngest = (struct timespec){0, 0};
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
        uint64_t device, inode;
        int64_t changed;
        uint32_t nanoseconds;
        int32_t error;
    } seen = {st.st_dev, st.st_ino, st.st_ctim.tv_sec, (uint32_t)st.st_ctim.tv_nsec, error};
    file_sum_add(sum, &seen, sizeof(seen));
    if (timespeccmp(&st.st_ctim, &sum->youngest, >))
        sum->youngest = st.st_ctim;
}

void file_sum_add_file(struct file_sum *sum, const char *path, int flags)
{
    add_at(sum, AT_FDCWD, path, flags);
}

void file_sum_add_directory(struct file_sum *sum, const char *path, int flags, bool hashed_only)
{
    add_at(sum, AT_FDCWD, path, 0);
    DIR *list = opendir(path);
    if (list == NULL)
        return;
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

bool file_sum_is_settled(const struct file_sum *sum)
{
    const struct timespec tick = {.tv_nsec = 20 * 1000 * 1000};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    timespecsub(&now, &tick, &now);
    return timespeccmp(&sum->youngest, &now, <);
}
