#include "setup/ca_rotate.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "setup/ca_check.h"

/* May another CA stand below the old one (basicConstraints' path length)? */
static bool has_room(X509 *certificate, int below)
{
    long room = X509_get_pathlen(certificate);
    return room < 0 || room >= below;
}

static int can_cross_sign(const struct ca *new_ca, const struct ca *old_ca, struct error *error)
{
    X509 *old_certificate = ca_certificate(old_ca);
    if (!certificate_is_self_signed(ca_certificate(new_ca)))
        return error_set(error, EX_CONFIG, "the new CA is an intermediate one");
    if (certificate_has_expired(old_certificate))
        return error_set(error, EX_CONFIG, "the old CA has expired");
    if (X509_check_private_key(old_certificate, old_ca->key) != 1)
        return error_set(error, EX_CONFIG, "the old CA's key does not belong to it");
    if (!has_room(old_certificate, 1))
        return error_set(error, EX_CONFIG, "the old CA's path length leaves no room for it");
    return 0;
}

static const ASN1_TIME *earlier_end(X509 *a, X509 *b)
{
    const ASN1_TIME *end_of_a = X509_get0_notAfter(a);
    const ASN1_TIME *end_of_b = X509_get0_notAfter(b);
    return ASN1_TIME_compare(end_of_a, end_of_b) < 0 ? end_of_a : end_of_b;
}

/* What of the old chain is of use behind the cross certificate: not what the new key has signed,
 * since who trusts that one's root trusts the new CA directly, and not what leads to a certificate
 * whose path length has no room for one more CA. */
static void cut_chain(STACK_OF(X509) * chain, EVP_PKEY *new_key)
{
    int keep = sk_X509_num(chain);
    for (int i = 0; i < sk_X509_num(chain) && i < keep; i++) {
        if (X509_verify(sk_X509_value(chain, i), new_key) == 1)
            keep = i;
        else if (i > 0 && !has_room(sk_X509_value(chain, i), i + 1))
            keep = i - 1;
    }
    /* A signature that is not by that key leaves words in the queue. */
    ERR_clear_error();
    while (sk_X509_num(chain) > keep)
        X509_free(sk_X509_pop(chain));
}

int ca_cross_sign(struct ca *new_ca, const struct ca *old_ca, X509 *old_root, struct error *error)
{
    if (can_cross_sign(new_ca, old_ca, error) != 0)
        return 0;
    const struct issue issue = {
        .subject = ca_certificate(new_ca),
        .issuer = ca_certificate(old_ca),
        .signer = old_ca->key,
        .not_after = earlier_end(ca_certificate(new_ca), ca_certificate(old_ca)),
    };
    STACK_OF(X509) *chain = X509_chain_up_ref(old_ca->certificates);
    if (chain != NULL)
        cut_chain(chain, new_ca->key);
    /* mitmproxy sends a chain only where there is more than one certificate. */
    if (chain != NULL && sk_X509_num(chain) == 0 && X509_up_ref(old_root) == 1)
        sk_X509_push(chain, old_root);
    X509 *cross = chain != NULL ? certificate_issue(&issue, error) : NULL;
    if (cross == NULL || sk_X509_unshift(chain, cross) < 1) {
        X509_free(cross);
        sk_X509_pop_free(chain, X509_free);
        return -1;
    }
    sk_X509_pop_free(new_ca->certificates, X509_free);
    new_ca->certificates = chain;
    return 1;
}
