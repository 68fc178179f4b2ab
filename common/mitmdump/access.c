#include "common/mitmdump/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mitmdump/addons.h"

/* Every directory on the way must be searchable, and path itself accessible. */
static int check_path(const char *path, int access, struct error *error)
{
    char prefix[PATH_MAX];
    if (strlcpy(prefix, path, sizeof(prefix)) >= sizeof(prefix))
        return error_set(error, EX_CONFIG, "%s", strerror(ENAMETOOLONG));
    for (char *slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (faccessat(AT_FDCWD, prefix, X_OK, AT_EACCESS) != 0)
            return error_set(error, EX_CONFIG, "directory %s is not searchable: %s", prefix,
                             strerror(errno));
        *slash = '/';
    }
    if (faccessat(AT_FDCWD, path, access, AT_EACCESS) != 0)
        return error_set(error, EX_CONFIG, "%s: %s", path, strerror(errno));
    return 0;
}

bool script_interpreter(const char *script, char interpreter[static PATH_MAX])
{
    char line[PATH_MAX + 2] = "";
    interpreter[0] = '\0';
    int fd = open(script, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, line, sizeof(line) - 1);
    close(fd);
    if (length <= 2 || strncmp(line, "#!", 2) != 0)
        return false;
    const char *start = line + 2 + strspn(line + 2, " \t");
    size_t size = strcspn(start, " \t\n");
    if (size >= PATH_MAX || start[size] == '\0')
        return false;
    memcpy(interpreter, start, size);
    interpreter[size] = '\0';
    return start[size + strspn(start + size, " \t")] != '\n';
}

static int check_program(const struct config *config, struct error *error)
{
    char interpreter[PATH_MAX];
    if (check_path(config->bin, X_OK, error) != 0)
        return error_prefix(error, "mitmdump at %.300s cannot be executed by user %s", config->bin,
                            config->user.name);
    script_interpreter(config->bin, interpreter);
    if (interpreter[0] != '\0' && check_path(interpreter, X_OK, error) != 0)
        return error_prefix(error, "mitmdump's interpreter %.300s cannot be executed by user %s",
                            interpreter, config->user.name);
    return 0;
}

static int check_readable(const struct config *config, const char *what, const char *path,
                          struct error *error)
{
    if (check_path(path, R_OK, error) == 0)
        return 0;
    return error_prefix(error, "%s %.200s cannot be read by user %s", what, path,
                        config->user.name);
}

int access_check(const struct config *config, struct error *error)
{
    char path[PATH_MAX];
    if (check_program(config, error) != 0)
        return -1;
    for (enum addon addon = 0; addon < ADDONS_SHIPPED; addon++) {
        shipped_addon_path(config, addon, path);
        if (check_readable(config, "addon", path, error) != 0)
            return -1;
    }
    for (size_t i = 0; i < config->scripts.count; i++)
        if (check_readable(config, "addon", config->scripts.items[i], error) != 0)
            return -1;
    if (addons_check(config, error) != 0)
        return -1;
    if (!config->ssl_insecure)
        return check_readable(config, "trust directory", config->upstream_trust_dir, error);
    return 0;
}
