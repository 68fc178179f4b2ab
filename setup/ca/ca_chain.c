#include "setup/ca/ca_chain.h"

#include "setup/ca/ca_check.h"

/* Where one CA has several certificates: a valid one leads further than another, and a self-signed
 * one to the end. */
static int rank(X509 *certificate)
{
    bool valid = X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0 &&
                 !certificate_has_expired(certificate);
    return 2 * valid + certificate_is_self_signed(certificate);
}

/* The best one that is not in the chain yet. */
static X509 *find_issuer(const STACK_OF(X509) * among, const STACK_OF(X509) * chain,
                         X509 *certificate)
{
    X509 *found = NULL;
    for (int i = 0; i < sk_X509_num(among); i++) {
        X509 *issuer = sk_X509_value(among, i);
        if (!certificates_contain(chain, issuer) && certificate_is_issued_by(certificate, issuer) &&
            (found == NULL || rank(issuer) > rank(found)))
            found = issuer;
    }
    return found;
}

STACK_OF(X509) * chain_sort(const STACK_OF(X509) * certificates)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *last = sk_X509_value(certificates, 0);
    while (chain != NULL && last != NULL && sk_X509_push(chain, last) > 0) {
        if (certificate_is_self_signed(last))
            return chain;
        last = find_issuer(certificates, chain, last);
    }
    sk_X509_free(chain);
    return NULL;
}

bool ca_sort_chain(struct ca *ca)
{
    STACK_OF(X509) *chain = chain_sort(ca->certificates);
    if (chain == NULL)
        return false;
    for (int i = 0; i < sk_X509_num(chain); i++)
        X509_up_ref(sk_X509_value(chain, i));
    sk_X509_pop_free(ca->certificates, X509_free);
    ca->certificates = chain;
    return true;
}
