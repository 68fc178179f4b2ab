#include "setup/sources.h"

#include <stddef.h>
#include <string.h>

/* Debian and Alpine; Red Hat; SUSE; Red Hat's newer place; Alpine and OpenBSD's libressl. */
const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    NULL,
};

/* Eight hexadecimal digits, a dot, a number. */
bool is_hashed_name(const char *name)
{
    if (strspn(name, "0123456789abcdef") != 8 || name[8] != '.')
        return false;
    return name[9] != '\0' && strspn(name + 9, "0123456789") == strlen(name + 9);
}
