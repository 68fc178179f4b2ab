#include "setup/file_sum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ca_file.h"
#include "common/files.h"
#include "setup/sources.h"

/* More than the coarsest times (ext4 with small inodes, some network file systems) are apart. */
enum { SETTLED_S = 2 };

/* The year 2000. A time of change before it is none, but that of an image which was made with fixed
 * times: 0, 1 and the first day of 1980 are usual. */
enum { CLOCKS_BEGIN_S = 946684800 };

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

static void add_seen(struct file_sum *sum, const struct stat *st, int error)
{
    const int64_t seen[] = {error,
                            (int64_t)st->st_ino,
                            st->st_size,
                            st->st_mtim.tv_sec,
                            st->st_mtim.tv_nsec,
                            st->st_ctim.tv_sec,
                            st->st_ctim.tv_nsec};
    file_sum_add(sum, seen, sizeof(seen));
    if (st->st_ctime > sum->youngest)
        sum->youngest = st->st_ctime;
    sum->unsure = sum->unsure || (error != 0 && error != ENOENT && error != ENOTDIR);
}

static void add_at(struct file_sum *sum, int directory, const char *name, int flags)
{
    struct stat st = {0};
    int error = fstatat(directory, name, &st, flags) == 0 ? 0 : errno;
    add_seen(sum, &st, error);
    sum->unsure = sum->unsure || (error == 0 && st.st_ctime < CLOCKS_BEGIN_S);
}

void file_sum_add_file(struct file_sum *sum, const char *path, int flags)
{
    add_at(sum, AT_FDCWD, path, flags);
}

static void add_content(struct file_sum *sum, int fd, const char *path, size_t max)
{
    struct error ignored;
    size_t size = 0;
    char *content = file_read_open(fd, max, path, &size, &ignored);
    file_sum_add(sum, &size, sizeof(size));
    if (content != NULL)
        file_sum_add(sum, content, size);
    sum->unsure = sum->unsure || content == NULL;
    ca_file_release(content, size);
}

void file_sum_add_content(struct file_sum *sum, const char *path, size_t max)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int error = fd >= 0 && fstat(fd, &st) == 0 ? 0 : errno;
    add_seen(sum, &st, error);
    if (error == 0 && S_ISREG(st.st_mode) && (uintmax_t)st.st_size <= max)
        add_content(sum, fd, path, max);
    else
        sum->unsure = sum->unsure || error == 0;
    if (fd >= 0)
        close(fd);
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
    explicit_bzero(&sum->digest, sizeof(sum->digest)); /* may hold the end of a key */
}

bool file_sum_is_reliable(const struct file_sum *sum)
{
    return !sum->unsure && time(NULL) - sum->youngest >= SETTLED_S;
}
