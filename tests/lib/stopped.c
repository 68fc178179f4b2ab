/* The mitmproxy user stops a process of setup's that has become that user: the first one which
 * finds the file that STOP_FILE names, and removes it, stops itself. */
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int prctl(int option, ...)
{
    int (*real)(int, ...);
    *(void **)&real = dlsym(RTLD_NEXT, "prctl");
    unsigned long arguments[4];
    va_list list;
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        arguments[i] = va_arg(list, unsigned long);
    va_end(list);
    const char *file = getenv("STOP_FILE");
    if (option == PR_SET_NO_NEW_PRIVS && file != NULL && unlink(file) == 0)
        raise(SIGSTOP);
    return real(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}
