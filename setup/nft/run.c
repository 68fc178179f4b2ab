#include "setup/nft/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "setup/nft/exit_status.h"
#include "setup/process/program.h"

enum { ANSWER_MAX_BYTES = 1024 * 1024 };

static int judge(int status, struct nft_answer *answer, struct error *error)
{
    answer->succeeded = WIFEXITED(status) && WEXITSTATUS(status) == NFT_SUCCEEDED;
    if (answer->text != NULL &&
        (answer->succeeded || (WIFEXITED(status) && WEXITSTATUS(status) == NFT_REFUSED)))
        return 0;
    free(answer->text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NFT_NO_NETLINK)
        return error_set(error, EX_UNAVAILABLE, "nft: this kernel has no netlink for nf_tables");
    return error_set(error, 1, "nft: netlink does not work: libnftables gave no answer");
}

int nft_run_check(struct error *error)
{
    return program_check(NFT_PROGRAM, error);
}

int nft_run(const char *commands, enum nft_mode mode, struct nft_answer *answer,
            struct error *error)
{
    static char modes[][8] = {[NFT_RUN] = "run", [NFT_CHECK] = "check", [NFT_LIST] = "list"};
    char name[] = NFT_PROGRAM;
    char *const arguments[] = {name, modes[mode], NULL};
    const struct program_start start = {
        .name = NFT_PROGRAM, .arguments = arguments, .what = "nft", .deadline_ms = NO_DEADLINE};
    struct program program;
    struct error ignored;
    size_t size;
    if (program_start(&start, &program, error) != 0)
        return -1;
    program_write(&program, commands, strlen(commands));
    program_close_input(&program);
    answer->text = program_read_rest(&program, ANSWER_MAX_BYTES, &size, &ignored);
    return judge(program_wait(&program), answer, error);
}
