#include "setup/redirect/wait.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/state/state.h"

enum { LOOK_EVERY_MS = 10 };

/* True if healthd says that all its workers have started. If not, error says what is awaited. */
static bool has_started(const struct config *config, struct error *error)
{
    struct state state;
    if (state_read(config->state_file, config->user.uid, &state, error) != 0)
        return false;
    error_set(error, EX_UNAVAILABLE, "mitmdump is %s%s%s", mitm_state_name(state.mitm),
              state.mitm_error[0] != '\0' ? ": " : "", state.mitm_error);
    return state.mitm == MITM_LISTENING;
}

/* In a container setup ends with healthd, but elsewhere a waiting setup could outlive it. (A parent
 * death signal does not work: the kernel checks it with the dying parent's rights, and healthd has
 * none left.) */
static bool is_orphaned(const struct wait *wait)
{
    return wait->parent != 0 && getppid() != wait->parent;
}

static int give_up(const struct wait *wait, bool orphaned, struct error *error)
{
    if (orphaned)
        return error_set(error, EX_UNAVAILABLE, "the process that started this has ended");
    error->status = EX_UNAVAILABLE;
    return error_prefix(error, "mitmdump did not listen within %u s", wait->seconds);
}

int wait_for_mitmdump(const struct config *config, const struct wait *wait, struct error *error)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    bool endless = wait->endless && wait->parent != 0;
    unsigned long looks = wait->seconds * 1000UL / LOOK_EVERY_MS;
    log_info("waiting for mitmdump on port %u", config->port);
    while (!has_started(config, error)) {
        bool orphaned = is_orphaned(wait);
        if (orphaned || (!endless && looks-- == 0))
            return give_up(wait, orphaned, error);
        nanosleep(&pause, NULL);
    }
    return 0;
}
