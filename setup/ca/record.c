#include "setup/ca/record.h"

#include <string.h>

#include "setup/x509/ca.h"

/* When the first certificate expires that clients need: the root, or one below it. The search ends
 * at the first one with the root's key: the root itself, or a cross certificate, which only clients
 * need that trust only the CA before. */
static int64_t first_expiry(const struct ca *ca, X509 *root)
{
    int64_t end = certificate_end(root);
    for (int i = 0; i < sk_X509_num(ca->certificates); i++) {
        X509 *certificate = sk_X509_value(ca->certificates, i);
        if (EVP_PKEY_eq(X509_get0_pubkey(certificate), X509_get0_pubkey(root)) == 1)
            break;
        if (certificate_end(certificate) < end)
            end = certificate_end(certificate);
    }
    return end;
}

int ca_record_make(const struct config *config, const char *root_pem, size_t root_size,
                   struct ca_record *record, struct error *error)
{
    struct ca_file file;
    struct ca ca = {0};
    size_t size = 0;
    int result = -1;
    STACK_OF(X509) *root = NULL;
    char *pem = ca_file_read(config, &file, &size, error);
    if (pem == NULL || ca_parse(pem, size, &ca, error) != 0)
        goto out;
    root = certificates_from_pem(root_pem, root_size, error);
    if (root == NULL)
        goto out;
    strlcpy(record->file_sha256, file.sha256, sizeof(record->file_sha256));
    record->expires = first_expiry(&ca, sk_X509_value(root, 0));
    result = 0;
out:
    sk_X509_pop_free(root, X509_free);
    ca_free(&ca);
    ca_file_release(pem, size);
    return result;
}
