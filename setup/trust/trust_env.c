#include "setup/trust/trust_env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setup/trust/export_names.h"
#include "setup/trust/truststore.h"

/* The names are from each program's own documentation. All of these get the bundle, because most
 * replace the built-in roots; NODE_EXTRA_CA_CERTS and DENO_CERT add to them. */
static const struct {
    const char *name;
    const char *file;
} variables[] = {
    {"SSL_CERT_FILE", EXPORT_BUNDLE},       /* OpenSSL programs, Go, Ruby, Python's ssl */
    {"SSL_CERT_DIR", EXPORT_HASHED},        /* the same */
    {"CURL_CA_BUNDLE", EXPORT_BUNDLE},      /* curl */
    {"GIT_SSL_CAINFO", EXPORT_BUNDLE},      /* git */
    {"REQUESTS_CA_BUNDLE", EXPORT_BUNDLE},  /* Python requests */
    {"PIP_CERT", EXPORT_BUNDLE},            /* pip */
    {"AWS_CA_BUNDLE", EXPORT_BUNDLE},       /* AWS CLI and SDKs */
    {"CARGO_HTTP_CAINFO", EXPORT_BUNDLE},   /* cargo */
    {"NODE_EXTRA_CA_CERTS", EXPORT_BUNDLE}, /* Node.js */
    {"DENO_CERT", EXPORT_BUNDLE},           /* Deno */
    {"WGETRC", EXPORT_WGETRC},              /* wget, which knows no variable of its own */
};

/* Ends the stream; NULL with error if something was not written. */
static char *finish(FILE *out, char **text, struct error *error)
{
    if (fclose(out) == 0 && *text != NULL)
        return *text;
    error_set(error, 1, "trust.env: %s", strerror(errno));
    free(*text);
    return NULL;
}

char *trust_env_make(const char *mount, size_t *size, struct error *error)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (out == NULL) {
        error_set(error, 1, "trust.env: %s", strerror(errno));
        return NULL;
    }
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        fprintf(out, "%s=%s/%s\n", variables[i].name, mount, variables[i].file);
    fprintf(out,
            "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=%s/%s"
            " -Djavax.net.ssl.trustStoreType=PKCS12"
            " -Djavax.net.ssl.trustStorePassword=%s\n",
            mount, EXPORT_TRUSTSTORE, TRUSTSTORE_PASSWORD);
    return finish(out, &text, error);
}

char *wgetrc_make(const char *mount, size_t *size, struct error *error)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (out == NULL) {
        error_set(error, 1, "wgetrc: %s", strerror(errno));
        return NULL;
    }
    fprintf(out, "ca_certificate = %s/%s\n", mount, EXPORT_BUNDLE);
    return finish(out, &text, error);
}
