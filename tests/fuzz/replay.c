/* Runs a harness on files, and on all files of directories, without a fuzzer: for every compiler
 * and every sanitizer. Prints each name before its turn, so that the last one is to blame. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static unsigned long inputs;

static void die(const char *path)
{
    perror(path);
    exit(1);
}

/* In memory of just its size, so that the address sanitizer sees a read behind it. */
static void replay_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size > 0 ? size : 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (data == NULL || fd < 0 || read(fd, data, size) != (ssize_t)size)
        die(path);
    close(fd);
    puts(path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    inputs++;
}

static void replay(const char *path)
{
    struct dirent **entries;
    struct stat st;
    if (stat(path, &st) != 0)
        die(path);
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return;
    }
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        die(path);
    for (int i = 0; i < count; i++) {
        char below[PATH_MAX];
        snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            replay(below);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%lu inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
