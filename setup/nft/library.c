#include "setup/nft/library.h"

#include <nftables/libnftables.h>
#include <string.h>

static char *run(const char *commands, bool *succeeded)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL)
        return NULL;
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
    *succeeded = nft_run_cmd_from_buffer(nft, commands) == 0;
    char *text =
        strdup(*succeeded ? nft_ctx_get_output_buffer(nft) : nft_ctx_get_error_buffer(nft));
    nft_ctx_free(nft);
    return text;
}

const struct nft_library nft_library = {.module = {VERSION}, .run = run};
