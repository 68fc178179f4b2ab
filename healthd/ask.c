#include "healthd/ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/kernel/netlink.h"
#include "common/kernel/socket_diagnosis.h"

static int complain(const char *what)
{
    fprintf(stderr, "healthd: probe: %s: %s\n", what, strerror(errno));
    return 1;
}

/* Another process may have taken the port first, so the kernel is asked whose socket it is:
 * healthd's is root's or the mitmproxy user's. (Where the kernel does not say, true.) */
static bool is_healthd(const struct config *config)
{
    struct listener found = {0};
    struct error ignored;
    if (!config->transparent) /* then any user may have started healthd */
        return true;
    int diagnosis = netlink_open(NETLINK_SOCK_DIAG, &ignored);
    if (diagnosis < 0)
        return true;
    int there = listener_find(diagnosis, AF_INET, config->http.port, &found, &ignored);
    close(diagnosis);
    if (there != 1 || found.uid == 0 || found.uid == config->user.uid || found.uid == geteuid())
        return true;
    fprintf(stderr, "healthd: probe: port %u is held by another process, of uid %u\n",
            config->http.port, found.uid);
    return false;
}

static int judge(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    fputs(body != NULL ? body + 4 : "no answer\n", stdout);
    return strncmp(answer, "HTTP/1.1 200 ", 13) == 0 ? 0 : 1;
}

static int ask(int fd, uint16_t port, const char *path)
{
    char request[128];
    struct sockaddr_in healthd = {.sin_family = AF_INET, .sin_port = htons(port)};
    char answer[2048];
    size_t used = 0;
    int length =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    healthd.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&healthd, sizeof(healthd)) != 0)
        return complain("connect");
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) < 0)
        return complain("send");
    while (used < sizeof(answer) - 1) {
        ssize_t got = recv(fd, answer + used, sizeof(answer) - 1 - used, 0);
        if (got < 0)
            return complain("receive");
        if (got == 0)
            break;
        used += (size_t)got;
    }
    answer[used] = '\0';
    return judge(answer);
}

int probe(const struct config *config, const char *path)
{
    const struct timeval deadline = {.tv_sec = 2};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return complain("socket");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    int result = is_healthd(config) ? ask(fd, config->http.port, path) : 1;
    close(fd);
    return result;
}
