#include "setup/nft/library.h"

#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of a file libnftables says which line was wrong; of a text it shows the first line, whichever it
 * was. Without /proc there is only the text. */
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

static char *run(const char *commands, bool dry_run, bool *succeeded)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL)
        return NULL;
    nft_ctx_set_dry_run(nft, dry_run);
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
    *succeeded = run_commands(nft, commands) == 0;
    char *text =
        strdup(*succeeded ? nft_ctx_get_output_buffer(nft) : nft_ctx_get_error_buffer(nft));
    nft_ctx_free(nft);
    return text;
}

const struct nft_library nft_library = {.module = {VERSION}, .run = run};
