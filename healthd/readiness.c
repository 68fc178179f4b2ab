#include "healthd/readiness.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/listener.h"
#include "common/state.h"

/* Each check returns 0, or -1 with the reason in error. They stand in the order in which the parts
 * come up, so that the reason names the next thing that is awaited. */

static int check_state_file(const struct readiness *readiness, struct state *state,
                            struct error *error)
{
    const char *path = readiness->config->state_file;
    if (state_read(path, readiness->config->user.uid, state, error) == 0)
        return 0;
    if (errno == ENOENT)
        return error_set(error, 1, "no state file %s: setup has not run", path);
    return error_prefix(error, "state file");
}

/* setup may have run with another environment than this process has. */
static int check_agreement(const struct config *config, const struct state *state,
                           struct error *error)
{
    if (state->rules == 0)
        return 0;
    if (state->port != config->port)
        return error_set(error, 1, "setup has redirected to port %u, but MITMPROXY_PORT is %u here",
                         state->port, config->port);
    if (state->user != config->user.uid)
        return error_set(error, 1, "setup lets uid %u through, but MITMPROXY_USER is uid %u here",
                         state->user, config->user.uid);
    return 0;
}

/* With transparent mode off nothing has to be there; rules that are would refuse everything. */
static int check_disabled(const struct config *config, struct error *error)
{
    struct state state;
    struct error unreadable;
    if (state_read(config->state_file, 0, &state, &unreadable) != 0 ||
        state_check_current(&state, &unreadable) != 0 || state.rules == 0)
        return 0;
    return error_set(error, 1,
                     "setup has installed redirect rules, but transparent mode is off "
                     "here");
}

static int check_setup(const struct config *config, const struct state *state, struct error *error)
{
    switch (state->setup) {
    case SETUP_UNKNOWN:
        return error_set(error, 1, "setup has not run (the state file has healthd's half alone)");
    case SETUP_FAILED:
        return error_set(error, 1, "setup failed: %s", state->setup_error);
    case SETUP_DISABLED:
        return error_set(error, 1,
                         "redirect rules missing: removed by setup clear, or setup ran "
                         "with transparent mode off");
    case SETUP_RUNNING:
    case SETUP_READY:
        break;
    }
    if (state_check_current(state, error) != 0)
        return -1;
    return check_agreement(config, state, error);
}

static int check_ca(const struct state *state, struct error *error)
{
    if (strcmp(state->ca, "exported") == 0)
        return 0;
    if (state->setup == SETUP_RUNNING)
        return error_set(error, 1, "setup is running: CA not exported yet");
    return error_set(error, 1, "CA missing: not exported (setup prepare has not run)");
}

/* The runner may not have noticed yet: the kernel has the last word. */
static int check_listener(const struct readiness *readiness, int family, uint32_t inode,
                          struct error *error)
{
    struct listener found;
    const char *address = family == AF_INET ? "127.0.0.1" : "::1";
    uint16_t port = readiness->config->port;
    int there = listener_find(readiness->diagnosis, family, port, &found, error);
    if (there < 0)
        return -1;
    if (there == 0)
        return error_set(error, 1, "mitmdump not listening on port %u of %s", port, address);
    if (found.uid != readiness->config->user.uid || found.inode != inode)
        return error_set(error, 1, "port %u of %s is held by another process, of uid %u", port,
                         address, found.uid);
    return 0;
}

static int check_mitmdump(const struct readiness *readiness, struct error *error)
{
    const struct report *report = &readiness->report;
    if (report->state != MITM_LISTENING)
        return error_set(error, 1, "mitmdump not listening: %s%s%s", mitm_state_name(report->state),
                         report->error[0] != '\0' ? ": " : "", report->error);
    for (size_t i = 0; i < readiness->families; i++)
        if (check_listener(readiness, readiness->canaries[i].family, report->inodes[i], error) != 0)
            return -1;
    return 0;
}

static int check_rules(const struct readiness *readiness, const struct state *state,
                       struct error *error)
{
    if (state->setup == SETUP_RUNNING)
        return error_set(error, 1, "setup is running: redirect rules missing");
    if (state->rules == 0)
        return error_set(error, 1, "redirect rules missing (setup redirect has not run)");
    for (size_t i = 0; i < readiness->families; i++)
        if (!readiness->canaries[i].lands)
            return error_set(error, 1, "redirect rules not in effect: %s",
                             readiness->canaries[i].error);
    return 0;
}

bool readiness_check(struct readiness *readiness, char reason[static REASON_SIZE])
{
    struct state state;
    struct error error;
    if (readiness->stopping) {
        strlcpy(reason, "healthd is stopping", REASON_SIZE);
        return false;
    }
    if (!readiness->config->transparent) {
        if (check_disabled(readiness->config, &error) == 0)
            return true;
        strlcpy(reason, error.text, REASON_SIZE);
        return false;
    }
    if (check_state_file(readiness, &state, &error) == 0 &&
        check_setup(readiness->config, &state, &error) == 0 && check_ca(&state, &error) == 0 &&
        check_mitmdump(readiness, &error) == 0 && check_rules(readiness, &state, &error) == 0)
        return true;
    strlcpy(reason, error.text, REASON_SIZE);
    return false;
}
