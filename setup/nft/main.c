/* setup-nft: runs commands of nft(8) from standard input in one transaction, and prints what they
 * print, or what was wrong with them. A program of its own, which setup executes, because
 * libnftables takes longer to load than the rest of setup takes to run, and ends the process where
 * netlink does not work. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/files/files.h"
#include "setup/nft/exit_status.h"

enum { COMMANDS_MAX_BYTES = 1024 * 1024 };

/* Has the kernel netlink for netfilter at all? */
static bool has_netlink(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || (errno != EPROTONOSUPPORT && errno != EAFNOSUPPORT);
}

/* For a file libnftables shows the line that was wrong, for a text always the first one. So it gets
 * a file, unless there is no /proc. */
static int run_commands(struct nft_ctx *nft, const char *commands)
{
    char path[32];
    int file = memfd_create("commands", MFD_CLOEXEC);
    bool written = file >= 0 && dprintf(file, "%s", commands) >= 0;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    int result = written && access(path, R_OK) == 0 ? nft_run_cmd_from_filename(nft, path)
                                                    : nft_run_cmd_from_buffer(nft, commands);
    if (file >= 0)
        close(file);
    return result;
}

static bool print_answer(struct nft_ctx *nft, bool succeeded)
{
    fputs(succeeded ? nft_ctx_get_output_buffer(nft) : nft_ctx_get_error_buffer(nft), stdout);
    return succeeded;
}

/* Lists what each line names. libnftables reads only what the last command of a transaction needs
 * into its cache. */
static bool list(struct nft_ctx *nft, char *commands)
{
    bool succeeded = true;
    for (char *line = strsep(&commands, "\n"); line != NULL && succeeded;
         line = strsep(&commands, "\n"))
        if (line[0] != '\0')
            succeeded = print_answer(nft, nft_run_cmd_from_buffer(nft, line) == 0);
    return succeeded;
}

/* Returns an nft_exit_status. */
static int run(char *commands, const char *mode)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL)
        return NFT_FAILED;
    nft_ctx_set_dry_run(nft, strcmp(mode, "check") == 0);
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
    bool succeeded = strcmp(mode, "list") == 0
                         ? list(nft, commands)
                         : print_answer(nft, run_commands(nft, commands) == 0);
    bool written = fflush(stdout) == 0;
    nft_ctx_free(nft);
    return succeeded && written ? NFT_SUCCEEDED : NFT_REFUSED;
}

int main(int argc, char **argv)
{
    struct error error;
    size_t size;
    const char *mode = argc == 2 ? argv[1] : "";
    prctl(PR_SET_NAME, "setup-nft"); /* it is executed by descriptor: its name would be a number */
    if (strcmp(mode, "run") != 0 && strcmp(mode, "check") != 0 && strcmp(mode, "list") != 0) {
        fputs("usage: setup-nft run|check|list, with commands of nft(8) on standard input\n",
              stderr);
        return EX_USAGE;
    }
    /* What the library itself prints would stand among the lines of setup's log. */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
    if (!has_netlink())
        return NFT_NO_NETLINK;
    char *commands = file_read_open(STDIN_FILENO, COMMANDS_MAX_BYTES, "commands", &size, &error);
    int status = commands != NULL ? run(commands, mode) : NFT_FAILED;
    free(commands);
    return status;
}
