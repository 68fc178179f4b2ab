/* Memory that a process shares with all that it starts, over exec(3) as well. */
#ifndef INHERITED_H
#define INHERITED_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* name is that of an environment variable, which tells the next ones. *first: is it new? */
static inline void *inherited_memory(const char *name, size_t size, int *first)
{
    const char *number = getenv(name);
    char text[16];
    int fd = number != NULL ? atoi(number) : memfd_create(name, 0);
    *first = number == NULL;
    if (*first) {
        /* Out of the way of descriptors that are expected to have low numbers. */
        int high = fcntl(fd, F_DUPFD, 900);
        if (high < 0 || ftruncate(high, (off_t)size) != 0)
            abort();
        close(fd);
        fd = high;
        snprintf(text, sizeof(text), "%d", fd);
        setenv(name, text, 1);
    }
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

#endif
