#include "setup/ca/ca_trial.h"

#include <openssl/x509_vfy.h>

int ca_try(const struct ca *ca, X509 *root, struct error *error)
{
    /* mitmproxy gives every leaf the CA's own key. */
    const struct issue issue = {
        .key = ca->key, .issuer = ca_certificate(ca), .signer = ca->key, .leaf = true};
    X509 *leaf = certificate_issue(&issue, error);
    X509_STORE *trusted = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int result = -1;
    if (leaf == NULL)
        goto out;
    if (trusted == NULL || context == NULL || X509_STORE_add_cert(trusted, root) != 1 ||
        X509_STORE_CTX_init(context, trusted, leaf, ca->certificates) != 1) {
        error_set(error, 1, "try the CA: %s", openssl_reason());
        goto out;
    }
    result = X509_verify_cert(context) == 1;
    if (result == 0)
        error_set(error, EX_CONFIG, "%s",
                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
out:
    X509_STORE_CTX_free(context);
    X509_STORE_free(trusted);
    X509_free(leaf);
    return result;
}
