#include "setup/ca_rotate.h"

#include <openssl/x509v3.h>

#include "setup/ca_check.h"

/* May another CA stand below each of the old one's certificates (basicConstraints' path length)? */
static bool has_room(const struct ca *old_ca)
{
    for (int i = 0; i < sk_X509_num(old_ca->certificates); i++) {
        long room = X509_get_pathlen(sk_X509_value(old_ca->certificates, i));
        if (room >= 0 && room < i + 1)
            return false;
    }
    return true;
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
    if (!has_room(old_ca))
        return error_set(error, EX_CONFIG, "the old CA's path length leaves no room for it");
    return 0;
}

static const ASN1_TIME *earlier_end(X509 *a, X509 *b)
{
    const ASN1_TIME *end_of_a = X509_get0_notAfter(a);
    const ASN1_TIME *end_of_b = X509_get0_notAfter(b);
    return ASN1_TIME_compare(end_of_a, end_of_b) < 0 ? end_of_a : end_of_b;
}

int ca_cross_sign(struct ca *new_ca, const struct ca *old_ca, struct error *error)
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
