#include "setup/status/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files/files.h"
#include "common/mitmdump/ca_file.h"
#include "common/state/state.h"
#include "setup/prepare/ca_program.h"
#include "setup/redirect/redirect.h"

static void print_configuration(const struct config *config)
{
    printf("configuration\n");
    printf("  transparent  %s\n", config->transparent ? "on" : "off");
    printf("  proxy        127.0.0.1:%u as %s (uid %u, gid %u)\n", config->port, config->user.name,
           config->user.uid, config->user.gid);
    printf("  mitmdump     %s\n", config->bin);
    printf("  confdir      %s\n", config->confdir);
    printf("  export       %s\n", config->export_dir);
    printf("  health       port %u\n", config->http.port);
}

/* Returns how many things are wrong with what is exported. */
static int print_ca(const struct state *state)
{
    struct error error;
    printf("CA\n");
    int wrong = ca_program_print_status(state->ca_sha256, &error);
    if (wrong >= 0)
        return wrong;
    printf("  UNKNOWN: %s\n", error.text);
    return 1;
}

static int print_rules(const struct config *config)
{
    struct error error;
    printf("rules\n");
    int differences = redirect_compare(config, stdout, &error);
    if (differences >= 0)
        return differences;
    printf("  UNKNOWN: %s\n", error.text);
    return 1;
}

/* The caller has read the file; readable says whether it could, else error says why not. */
static int print_state(const struct config *config, const struct state *state, bool readable,
                       const struct error *error)
{
    struct error stale;
    printf("state (%s)\n", config->state_file);
    if (!readable) {
        printf("  NOT there: %s\n", error->text);
        return 1;
    }
    printf("  setup        %s %s\n", setup_state_name(state->setup), state->setup_error);
    printf("  mitmdump     %s, pid %u, restarts %u %s\n", mitm_state_name(state->mitm),
           state->mitm_pid, state->mitm_restarts, state->mitm_error);
    if (state_check_current(state, &stale) != 0) {
        printf("  STALE: %s\n", stale.text);
        return 1;
    }
    return state->setup != SETUP_READY;
}

/* Only the mitmproxy user, and root if nothing restricts it, can look where the key is. */
static int print_key(const struct config *config)
{
    struct error error;
    struct stat st;
    int directory = directory_open(config->confdir, &error);
    if (directory < 0 || fstatat(directory, CA_FILE, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        bool missing = errno == ENOENT;
        printf("  key          %s/" CA_FILE ": %s\n", config->confdir,
               missing ? "MISSING" : "not checked: this user may not look there");
        if (directory >= 0)
            close(directory);
        return missing ? 1 : 0;
    }
    close(directory);
    printf("  key          %s/" CA_FILE ", uid %u, mode %04o\n", config->confdir, st.st_uid,
           st.st_mode & 07777);
    return 0;
}

int status_print_live(const struct config *config)
{
    struct state state;
    struct error error = {0}, unknown;
    bool readable = state_read(config->state_file, config->user.uid, &state, &error) == 0;
    printf(
        "configuration\n  NOT accepted, see the errors: the wanted rules are not known\nrules\n");
    if (redirect_print_live(stdout, &unknown) != 0)
        printf("  UNKNOWN: %s\n", unknown.text);
    if (config->state_file[0] != '\0')
        print_state(config, &state, readable, &error);
    printf("NOT as it should be\n");
    return EX_CONFIG;
}

int status_print(const struct config *config)
{
    struct state state;
    struct error error = {0};
    int wrong = 0;
    bool readable = state_read(config->state_file, config->user.uid, &state, &error) == 0;
    print_configuration(config);
    if (config->transparent)
        wrong += print_ca(&state) + print_key(config);
    wrong += print_rules(config);
    if (config->transparent)
        wrong += print_state(config, &state, readable, &error);
    printf(wrong == 0 ? "all is as it should be\n" : "NOT as it should be\n");
    return wrong == 0 ? 0 : 1;
}
