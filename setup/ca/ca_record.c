#include "setup/ca/ca_record.h"

#include <string.h>
#include <time.h>

#include "setup/ca/ca.h"

static int64_t end_of(X509 *certificate)
{
    struct tm utc = {0};
    ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc);
    return (int64_t)timegm(&utc);
}

/* Clients need the root and every certificate below it. What follows one of the root's own key is
 * there for those that know only an earlier root. */
static int64_t find_end(const struct ca *ca, X509 *root)
{
    int64_t end = end_of(root);
    for (int i = 0; i < sk_X509_num(ca->certificates); i++) {
        X509 *certificate = sk_X509_value(ca->certificates, i);
        if (EVP_PKEY_eq(X509_get0_pubkey(certificate), X509_get0_pubkey(root)) == 1)
            break;
        if (end_of(certificate) < end)
            end = end_of(certificate);
    }
    return end;
}

static int64_t find_first_end(const STACK_OF(X509) * roots)
{
    int64_t first = INT64_MAX;
    for (int i = 0; i < sk_X509_num(roots); i++)
        if (end_of(sk_X509_value(roots, i)) < first)
            first = end_of(sk_X509_value(roots, i));
    return first;
}

int ca_record_make(const struct config *config, const char *roots, size_t roots_size,
                   struct ca_record *record, struct error *error)
{
    struct ca_file file;
    struct ca ca = {0};
    size_t size = 0;
    int result = -1;
    STACK_OF(X509) *certificates = NULL;
    char *pem = ca_file_read(config, &file, &size, error);
    if (pem == NULL || ca_parse(pem, size, &ca, error) != 0)
        goto out;
    certificates = certificates_from_pem(roots, roots_size, error);
    if (certificates == NULL)
        goto out;
    strlcpy(record->file_sha256, file.sha256, sizeof(record->file_sha256));
    record->expires = find_end(&ca, sk_X509_value(certificates, 0));
    record->root_ends = find_first_end(certificates);
    result = 0;
out:
    sk_X509_pop_free(certificates, X509_free);
    ca_free(&ca);
    ca_file_release(pem, size);
    return result;
}
