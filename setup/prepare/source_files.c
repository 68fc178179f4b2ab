#include "setup/prepare/source_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "setup/ca/messages.h"

/* The directory is the administrator's and read-only. Its links are followed: kubelet makes each
 * file a link through "..data". */
int source_files_open(const struct config *config, int *handed, struct error *error)
{
    for (int i = SOURCE_CERTIFICATES; i <= SOURCE_ROOT; i++)
        handed[i] = -ENOENT;
    if (config->ca_dir[0] == '\0')
        return 0;
    int directory = open(config->ca_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Else each file in it would be missing, which says less. */
    if (directory < 0)
        return error_set(error, EX_CONFIG, CONFIG_PREFIX "MITMPROXY_CA_DIR=\"%s\": %s",
                         config->ca_dir, strerror(errno));
    for (int i = SOURCE_CERTIFICATES; i <= SOURCE_ROOT; i++) {
        handed[i] =
            openat(directory, handed_over_names[i], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (handed[i] < 0)
            handed[i] = -errno;
    }
    close(directory);
    return 0;
}

void source_files_close(const int *handed)
{
    for (int i = SOURCE_CERTIFICATES; i <= SOURCE_ROOT; i++)
        if (handed[i] >= 0)
            close(handed[i]);
}
