#include "healthd/runner/launcher.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "healthd/runner/backoff.h"
#include "healthd/runner/spawn.h"

enum { START_LIMIT_MS = 60 * 1000, END_LIMIT_MS = 1000, HEALTHY_RUN_MS = 60 * 1000 };

void launcher_init(struct launcher *launcher, char *const *command, const char *home)
{
    memset(launcher, 0, sizeof(*launcher));
    launcher->phase = command != NULL ? LAUNCHER_DOWN : LAUNCHER_UNUSED;
    launcher->command = command;
    launcher->home = home;
    launcher->control = -1;
    launcher->output.fd = -1;
    launcher->deadline_ms = command != NULL ? 0 : INT64_MAX;
}

static void down(struct launcher *launcher, const char *why)
{
    int64_t delay = backoff_ms(++launcher->failures);
    launcher->phase = LAUNCHER_DOWN;
    launcher->deadline_ms = clock_ms() + delay;
    log_error("the launcher %s; next start in %" PRId64 " ms", why, delay);
}

static void start(struct launcher *launcher, const struct proxy_sockets *sockets)
{
    int ends[2], output = -1;
    struct error error;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        down(launcher, strerror(errno));
        return;
    }
    const int descriptors[] = {ends[1], sockets->fds[0], sockets->fds[1]};
    const struct spawn how = {launcher->command, launcher->home, descriptors, 1 + sockets->count};
    int result = spawn(&how, &launcher->pid, &output, &error);
    close(ends[1]);
    if (result != 0) {
        close(ends[0]);
        down(launcher, error.text);
        return;
    }
    launcher->control = ends[0];
    output_open(&launcher->output, "launcher", output);
    launcher->phase = LAUNCHER_STARTING;
    launcher->started_ms = clock_ms();
    launcher->deadline_ms = launcher->started_ms + START_LIMIT_MS;
}

void launcher_tick(struct launcher *launcher, const struct proxy_sockets *sockets)
{
    if (clock_ms() < launcher->deadline_ms)
        return;
    if (launcher->pid == 0)
        start(launcher, sockets);
    else
        launcher_hangs(launcher);
}

/* It says but one thing, when it has imported mitmproxy. */
void launcher_read(struct launcher *launcher)
{
    char said[16];
    ssize_t size = recv(launcher->control, said, sizeof(said), MSG_DONTWAIT);
    if (size > 0 && launcher->phase == LAUNCHER_STARTING) {
        launcher->phase = LAUNCHER_READY;
        launcher->deadline_ms = INT64_MAX;
        log_debug("the launcher is ready after %" PRId64 " ms", clock_ms() - launcher->started_ms);
    }
    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    close(launcher->control);
    launcher->control = -1;
    if (launcher->phase == LAUNCHER_UNUSED)
        return;
    launcher->phase = LAUNCHER_DOWN;
    launcher->deadline_ms = clock_ms() + END_LIMIT_MS;
}

int launcher_order(struct launcher *launcher, int pulse, int output, struct error *error)
{
    static char order[] = "fork";
    const int descriptors[2] = {pulse, output};
    struct iovec text = {order, sizeof(order) - 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(descriptors))];
    } control = {0};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(descriptors));
    memcpy(CMSG_DATA(&control.header), descriptors, sizeof(descriptors));
    if (sendmsg(launcher->control, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return error_set(error, 1, "not started: order to the launcher: %s", strerror(errno));
    return 0;
}

/* What was ordered and has not been done yet ends with it. */
void launcher_hangs(struct launcher *launcher)
{
    if (launcher->pid == 0)
        return;
    log_warn("the launcher does not answer: SIGKILL");
    launcher->phase = LAUNCHER_DOWN;
    launcher->deadline_ms = INT64_MAX;
    kill(-launcher->pid, SIGKILL);
}

void launcher_ended(struct launcher *launcher, int wait_status)
{
    char why[OUTPUT_END_SIZE];
    output_read(&launcher->output);
    output_close(&launcher->output);
    if (launcher->control >= 0)
        close(launcher->control);
    launcher->control = -1;
    launcher->pid = 0;
    if (launcher->phase == LAUNCHER_UNUSED)
        return;
    if (clock_ms() - launcher->started_ms >= HEALTHY_RUN_MS)
        launcher->failures = 0;
    output_describe_end(&launcher->output, wait_status, why);
    down(launcher, why);
}

void launcher_stop(struct launcher *launcher)
{
    launcher->phase = LAUNCHER_UNUSED;
    launcher->deadline_ms = INT64_MAX;
    if (launcher->pid > 0)
        kill(-launcher->pid, SIGKILL);
}
