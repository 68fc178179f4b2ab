/* Short, because resolv.conf(5) is read for nothing but the nameservers. */
#include "setup/rules/nameservers.h"

#include <stdio.h>
#include <string.h>

/* The C library takes such a line only if the word begins it. */
static const char keyword[] = "nameserver";

static int read_address(char *line, char address[INET6_ADDRSTRLEN])
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char *rest = line + strlen(keyword);
    if (strncmp(line, keyword, strlen(keyword)) != 0 || (*rest != ' ' && *rest != '\t'))
        return -1;
    rest += strspn(rest, " \t");
    rest[strcspn(rest, " \t\r\n%")] = '\0'; /* "%" begins a scope */
    if (strlcpy(address, rest, INET6_ADDRSTRLEN) >= INET6_ADDRSTRLEN)
        return -1;
    int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    return inet_pton(family, address, bytes) == 1 ? 0 : -1;
}

size_t nameservers_read(char addresses[NAMESERVERS_MAX][INET6_ADDRSTRLEN])
{
    char line[1024];
    size_t count = 0;
    FILE *in = fopen("/etc/resolv.conf", "re");
    if (in == NULL)
        return 0;
    while (count < NAMESERVERS_MAX && fgets(line, sizeof(line), in) != NULL)
        if (read_address(line, addresses[count]) == 0)
            count++;
    fclose(in);
    return count;
}
