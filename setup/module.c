#include "setup/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Below the directory that the program is in: as built, and as installed. (A DT_RUNPATH would make
 * the loader look there for every library first.) */
static const char *const places[] = {"", "../lib/opensandbox-egress/"};

static int program_directory(char directory[static PATH_MAX], struct error *error)
{
    ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);
    if (length <= 0)
        return error_set(error, 1, "where this program is: /proc/self/exe cannot be read");
    directory[length] = '\0';
    strrchr(directory, '/')[1] = '\0';
    return 0;
}

const void *module_find(const char *module, const char *name, struct error *error)
{
    char directory[PATH_MAX], path[2 * PATH_MAX];
    if (program_directory(directory, error) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, sizeof(path), "%s%s%s", directory, places[i], module);
        if (access(path, F_OK) == 0)
            break;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const void *object = handle != NULL ? dlsym(handle, name) : NULL;
    if (object == NULL)
        error_set(error, 1, "a part of setup cannot be loaded: %s", dlerror());
    return object;
}
