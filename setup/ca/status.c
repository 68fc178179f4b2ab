#include "setup/ca/status.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files/files.h"
#include "common/state/state.h"
#include "setup/ca/check.h"
#include "setup/trust/export_names.h"
#include "setup/x509/ca.h"

static void print_certificate(X509 *certificate, const char *what, const char *sha256)
{
    char subject[256];
    char until[32];
    X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof(subject));
    time_to_text(X509_get0_notAfter(certificate), until);
    printf("  %-12s %s\n  sha256       %s\n  valid until  %s\n", what, subject, sha256, until);
}

/* Reads the certificates in an exported file. The caller frees them. Where that fails there are
 * none, and error has the reason. */
static STACK_OF(X509) *
    read_exported(const struct config *config, const char *name, struct error *error)
{
    const struct file_limits limits = {.max_size = 256 * 1024, .owner = 0};
    size_t size;
    int directory = directory_open(config->export_dir, error);
    if (directory < 0)
        return sk_X509_new_null();
    char *pem = file_read(directory, name, &limits, name, &size, error);
    close(directory);
    STACK_OF(X509) *certificates = pem != NULL ? certificates_from_pem(pem, size, error) : NULL;
    free(pem);
    return certificates != NULL ? certificates : sk_X509_new_null();
}

/* Returns 0 if the exported file with the current root alone is right, else 1. */
static int judge_exported_certificate(const struct config *config, X509 *root)
{
    struct error error = {.text = "no certificate in it"};
    STACK_OF(X509) *alone = read_exported(config, EXPORT_CERTIFICATE, &error);
    X509 *certificate = sk_X509_value(alone, 0);
    int wrong = certificate == NULL || X509_cmp(certificate, root) != 0;
    if (wrong)
        printf("  " EXPORT_CERTIFICATE " %s\n", certificate == NULL ? error.text : "DIFFERS");
    sk_X509_pop_free(alone, X509_free);
    return wrong;
}

/* Returns how many of the other exported files are missing. */
static int count_missing(const struct config *config)
{
    static const char *const names[] = {EXPORT_OTHERS};
    int missing = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[PATH_MAX];
        struct stat st;
        snprintf(path, sizeof(path), "%.4000s/%s", config->export_dir, names[i]);
        if (lstat(path, &st) == 0)
            continue;
        printf("  %s: %s\n", path, strerror(errno));
        missing++;
    }
    return missing;
}

/* Returns how many things are wrong with the current root. */
static int judge_root(const struct config *config, X509 *root, const char *sha256,
                      const char *expected)
{
    int wrong = judge_exported_certificate(config, root) + count_missing(config);
    if (certificate_has_expired(root)) {
        printf("  EXPIRED\n");
        wrong++;
    }
    if (strcmp(sha256, expected) != 0) {
        printf("  DIFFERS from the one that setup wrote down: %s\n", expected);
        wrong++;
    }
    return wrong;
}

int ca_status_print(const struct config *config, const char *expected)
{
    struct error error = {.text = "no certificate in " EXPORT_ROOTS};
    STACK_OF(X509) *roots = read_exported(config, EXPORT_ROOTS, &error);
    int wrong = 0;
    for (int i = 0; i < sk_X509_num(roots); i++) {
        char sha256[STATE_SHA256_SIZE];
        certificate_sha256(sk_X509_value(roots, i), sha256);
        print_certificate(sk_X509_value(roots, i), i == 0 ? "subject" : "other root", sha256);
        if (i == 0)
            wrong += judge_root(config, sk_X509_value(roots, i), sha256, expected);
    }
    if (sk_X509_num(roots) == 0) {
        printf("  NOT exported: %s\n", error.text);
        wrong = 1;
    }
    sk_X509_pop_free(roots, X509_free);
    return wrong;
}
