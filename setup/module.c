#include "setup/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Below the directory that the program is in: as built, and as installed. (A DT_RUNPATH would make
 * the loader look there for every library first.) */
static const char *const places[] = {"", "../lib/opensandbox-egress/"};

/* Where the program is, with a slash at its end; without /proc, as far as its caller has said. */
static void program_directory(char directory[static PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);
    if (length > 0)
        directory[length] = '\0';
    else
        strlcpy(directory, (const char *)getauxval(AT_EXECFN), PATH_MAX);
    char *slash = strrchr(directory, '/');
    if (slash != NULL)
        slash[1] = '\0';
    else
        strlcpy(directory, "./", PATH_MAX);
}

void module_path(const char *module, char path[static MODULE_PATH_SIZE])
{
    char directory[PATH_MAX];
    program_directory(directory);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, MODULE_PATH_SIZE, "%s%s%s", directory, places[i], module);
        if (access(path, F_OK) == 0)
            return;
    }
}

const void *module_find(const char *module, const char *name, struct error *error)
{
    char path[MODULE_PATH_SIZE];
    module_path(module, path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct module *object = handle != NULL ? dlsym(handle, name) : NULL;
    if (object == NULL) {
        error_set(error, 1, "a part of setup cannot be loaded: %s", dlerror());
        return NULL;
    }
    if (strcmp(object->version, VERSION) == 0)
        return object;
    error_set(error, 1, "%s is of version %s, expected " VERSION, path, object->version);
    return NULL;
}
