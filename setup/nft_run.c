#include "setup/nft_run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/files.h"
#include "setup/module.h"
#include "setup/nft/library.h"

enum { ANSWER_MAX_BYTES = 1024 * 1024 };

/* The child's exit statuses; libnftables has 3 for a netlink that does not work. */
enum { SUCCEEDED = 0, REFUSED = 1, FAILED = 3, NO_NETLINK = 4 };

/* Has the kernel netlink for netfilter at all? */
static bool has_netlink(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || (errno != EPROTONOSUPPORT && errno != EAFNOSUPPORT);
}

static int write_text(int out, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t put = write(out, text, left);
        if (put < 0)
            return -1;
        text += put;
        left -= (size_t)put;
    }
    return 0;
}

/* The child. The library's own last words would stand among our log lines. */
static int run(const struct nft_library *library, const char *commands, bool dry_run, int out)
{
    bool succeeded = false;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
    if (!has_netlink())
        return NO_NETLINK;
    char *text = library->run(commands, dry_run, &succeeded);
    if (text == NULL)
        return FAILED;
    int written = write_text(out, text);
    free(text);
    return succeeded && written == 0 ? SUCCEEDED : REFUSED;
}

static int judge(int status, struct nft_answer *answer, struct error *error)
{
    answer->succeeded = WIFEXITED(status) && WEXITSTATUS(status) == SUCCEEDED;
    if (answer->text != NULL &&
        (answer->succeeded || (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)))
        return 0;
    free(answer->text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NETLINK)
        return error_set(error, EX_UNAVAILABLE, "nft: this kernel has no netlink for nf_tables");
    return error_set(error, 1, "nft: netlink does not work: libnftables gave no answer");
}

int nft_run_check(struct error *error)
{
    return module_find(NFT_MODULE, NFT_LIBRARY_OBJECT, error) != NULL ? 0 : -1;
}

int nft_run(const char *commands, bool dry_run, struct nft_answer *answer, struct error *error)
{
    int ends[2], status = 0;
    size_t size;
    const struct nft_library *library = module_find(NFT_MODULE, NFT_LIBRARY_OBJECT, error);
    if (library == NULL)
        return -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, 1, "nft: pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(run(library, commands, dry_run, ends[1]));
    }
    close(ends[1]);
    answer->text =
        child > 0 ? file_read_open(ends[0], ANSWER_MAX_BYTES, "nft's answer", &size, error) : NULL;
    close(ends[0]);
    if (child < 0)
        return error_set(error, 1, "nft: fork: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return judge(status, answer, error);
}
