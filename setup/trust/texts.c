#include "setup/trust/texts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setup/trust/export_names.h"
#include "setup/trust/truststore.h"

/* In the tables below @ stands for the export directory, where the application sees it. */

/* The one list of variables: the manifests and docs/clients.md repeat it, which a test compares.
 * Most replace the roots that a program has, so they name the bundle with all roots. AWS_CA_BUNDLE
 * is none of them: programs with version 1 of the AWS SDK for Go and a transport of their own
 * (rclone) refuse to start with it, and what it is for heeds REQUESTS_CA_BUNDLE as well. */
static const struct {
    const char *name;
    const char *value;
} variables[] = {
    {"SSL_CERT_FILE", "@/" EXPORT_BUNDLE}, /* OpenSSL, Go, Ruby, Python's ssl, rustls's loader */
    {"SSL_CERT_DIR", "@/" EXPORT_CERTS},   /* the same */
    {"CURL_CA_BUNDLE", "@/" EXPORT_BUNDLE},
    {"GIT_SSL_CAINFO", "@/" EXPORT_BUNDLE},
    {"REQUESTS_CA_BUNDLE", "@/" EXPORT_BUNDLE}, /* Python's requests, botocore */
    {"HTTPLIB2_CA_CERTS", "@/" EXPORT_BUNDLE}, /* Python's httplib2, and what Google builds on it */
    {"PIP_CERT", "@/" EXPORT_BUNDLE},
    {"CARGO_HTTP_CAINFO", "@/" EXPORT_BUNDLE},
    {"NODE_EXTRA_CA_CERTS", "@/" EXPORT_BUNDLE},
    {"NPM_CONFIG_CAFILE", "@/" EXPORT_BUNDLE}, /* where an npmrc names another file */
    {"DENO_CERT", "@/" EXPORT_BUNDLE},
    {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "@/" EXPORT_BUNDLE},
    {"PERL_LWP_SSL_CA_FILE", "@/" EXPORT_BUNDLE},
    {"APT_CONFIG", "@/" EXPORT_APT},
    {"PHP_INI_SCAN_DIR", ":@"}, /* beside PHP's own directory, which is what stands before : */
    /* In place of the system's file, which sets nothing by default; the user's is read as well. */
    {"SYSTEM_WGETRC", "@/" EXPORT_WGETRC},
    {"SYSTEM_WGET2RC", "@/" EXPORT_WGETRC},
    {"JAVA_TOOL_OPTIONS",
     "-Djavax.net.ssl.trustStore=@/" EXPORT_TRUSTSTORE " -Djavax.net.ssl.trustStoreType=PKCS12"
     " -Djavax.net.ssl.trustStorePassword=" TRUSTSTORE_PASSWORD},
};

/* For programs that have no variable for certificates, but one for such a file. */
static const struct {
    const char *name;
    const char *text;
} files[] = {
    {EXPORT_WGETRC, "ca_certificate = @/" EXPORT_BUNDLE "\n"},
    {EXPORT_APT, "Acquire::https::CAInfo \"@/" EXPORT_BUNDLE "\";\n"},
    {EXPORT_PHP, "curl.cainfo = \"@/" EXPORT_BUNDLE "\"\n"
                 "openssl.cafile = \"@/" EXPORT_BUNDLE "\"\n"},
};

const char *const text_names[] = {EXPORT_ENVIRONMENT, EXPORT_SHELL, EXPORT_WGETRC, EXPORT_APT,
                                  EXPORT_PHP};
const size_t text_count = sizeof(text_names) / sizeof(text_names[0]);

static void print(FILE *out, const char *text, const char *mount)
{
    for (; *text != '\0'; text++) {
        if (*text == '@')
            fputs(mount, out);
        else
            fputc(*text, out);
    }
}

/* The configuration accepts no mount that a shell would have to have quoted, other than by '. */
static void print_variables(FILE *out, const char *mount, const char *begin, const char *quote)
{
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        fprintf(out, "%s%s=%s", begin, variables[i].name, quote);
        print(out, variables[i].value, mount);
        fprintf(out, "%s\n", quote);
    }
}

static void print_text(FILE *out, const char *name, const char *mount)
{
    if (strcmp(name, EXPORT_ENVIRONMENT) == 0)
        print_variables(out, mount, "", "");
    if (strcmp(name, EXPORT_SHELL) == 0)
        print_variables(out, mount, "export ", "'");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (strcmp(name, files[i].name) == 0)
            print(out, files[i].text, mount);
}

char *text_make(const char *name, const char *mount, size_t *size, struct error *error)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (out != NULL) {
        print_text(out, name, mount);
        if (fclose(out) == 0 && text != NULL)
            return text;
    }
    error_set(error, 1, "%s", strerror(errno));
    free(text);
    return NULL;
}
