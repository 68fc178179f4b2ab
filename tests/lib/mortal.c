// In the place of mitmdump: it dies at once, again and again, and counts how often it was started.
//
// What it shall do stands in a directory, for it gets healthd's arguments: "starts" grows by a byte
// with each start, "lives" says from which start on it stays alive. Every other time it exits with
// status 3, else it is killed. Static and small, so that ten thousand starts take no time.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef DIRECTORY
#error "say where: -DDIRECTORY=..."
#endif

static long lives(void)
{
    char text[32] = "";
    int fd = open(DIRECTORY "/lives", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return 0;
    close(fd);
    return atol(text);
}

int main(void)
{
    struct stat file;
    int fd = open(DIRECTORY "/starts", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    // One at a time: nobody else appends between the two calls.
    if (fd < 0 || write(fd, "+", 1) != 1 || fstat(fd, &file) < 0)
        return 1;
    if (file.st_size >= lives())
        for (;;)
            pause();
    if (file.st_size % 2 == 0)
        raise(SIGKILL);
    return 3;
}
