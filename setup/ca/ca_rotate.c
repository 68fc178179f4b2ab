#include "setup/ca/ca_rotate.h"

#include <openssl/x509v3.h>

#include "setup/ca/ca_bridge.h"
#include "setup/ca/ca_check.h"
#include "setup/ca/ca_trial.h"

/* Java refuses more than ten certificates, the leaf among them
 * (jdk.tls.maxCertificateChainLength). */
enum { CHAIN_MAX = 9 };

/* As chain_crossed_at; bridges are no part of the chain unless they count. */
static int crossed_at(const STACK_OF(X509) * chain, X509 *root, bool bridge_counts)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        if (certificates_are_of_one_ca(certificate, root) &&
            !certificate_is_self_signed(certificate) &&
            (bridge_counts || !certificate_is_bridge(certificate)))
            return i;
    }
    return -1;
}

int chain_crossed_at(const STACK_OF(X509) * chain, X509 *root)
{
    return crossed_at(chain, root, true);
}

/* Adds the certificates of a chain from a place on which are not there yet, except one (or NULL).
 * 0, or -1 with error. */
static int add_chain(STACK_OF(X509) * to, const STACK_OF(X509) * chain, int first, X509 *except,
                     struct error *error)
{
    for (int i = first; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        if (except != NULL && X509_cmp(certificate, except) == 0)
            continue;
        if (X509_add_cert(to, certificate, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP) != 1)
            return error_set(error, 1, "out of memory");
    }
    return 0;
}

/* Takes off a chain what is of no use from the place on where the old CA's begins: what the new
 * root has issued, what leads to a certificate whose path length has no room for what is below, and
 * what is more than clients take. */
static void cut_chain(STACK_OF(X509) * chain, int first, X509 *new_root)
{
    int below = 0;
    int keep = sk_X509_num(chain);
    for (int i = 0; i < keep; i++) {
        X509 *certificate = sk_X509_value(chain, i);
        long room = X509_get_pathlen(certificate);
        if (i >= first && certificate_is_issued_by(certificate, new_root))
            keep = i; /* who trusts the root needs nothing that leads there */
        else if (i > first && room >= 0 && room < below)
            keep = i - 1;
        below += !certificate_is_self_issued(certificate);
    }
    int most = first > CHAIN_MAX ? first : CHAIN_MAX;
    if (keep > most)
        keep = most;
    while (sk_X509_num(chain) > keep)
        X509_free(sk_X509_pop(chain));
}

/* The new root's name and key in a certificate by the old CA, of which issuer is a certificate. */
static X509 *issue_cross(X509 *root, X509 *issuer, EVP_PKEY *signer, struct error *error)
{
    const struct issue issue = {
        .subject = root,
        .issuer = issuer,
        .signer = signer,
        .not_after = X509_get0_notAfter(certificate_ends_before(root, issuer) ? root : issuer),
    };
    return certificate_issue(&issue, error);
}

/* A CA's chain becomes another one, which belongs to it then. */
static void set_chain(struct ca *ca, STACK_OF(X509) * *chain)
{
    sk_X509_pop_free(ca->certificates, X509_free);
    ca->certificates = *chain;
    *chain = NULL;
}

/* The new CA's chain with the cross certificate in the root's place, then the old CA's, of which
 * bridges are no part. Sets *below to where that begins. 0, or -1 with error. */
static int join(struct ca *crossed, const struct ca *new_ca, X509 *cross, const struct ca *old_ca,
                int *below, struct error *error)
{
    if (crossed->certificates == NULL ||
        add_chain(crossed->certificates, new_ca->certificates, 0, ca_root(new_ca), error) != 0 ||
        X509_add_cert(crossed->certificates, cross, X509_ADD_FLAG_UP_REF) != 1)
        return error_set(error, 1, "out of memory");
    *below = sk_X509_num(crossed->certificates);
    return add_chain(crossed->certificates, old_ca->certificates, ca_bridges(old_ca), NULL, error);
}

int ca_cross_sign(struct ca *new_ca, const struct ca *old_ca, X509 *old_root, struct error *error)
{
    X509 *root = ca_root(new_ca);
    X509 *issuer = sk_X509_value(old_ca->certificates, ca_bridges(old_ca));
    /* After a rotation that is a certificate by the CA before, which may end sooner. */
    if (certificates_are_of_one_ca(issuer, old_root))
        issuer = old_root;
    struct ca crossed = {.key = new_ca->key, .certificates = sk_X509_new_null()};
    int below = 0, result = 0; /* an old CA whose key does not sign like that vouches for nobody */
    X509 *cross = issue_cross(root, issuer, old_ca->key, error);
    if (cross == NULL)
        goto out;
    result = join(&crossed, new_ca, cross, old_ca, &below, error);
    if (result == 0)
        result = ca_try(&crossed, old_root, error);
    if (result != 1)
        goto out;
    cut_chain(crossed.certificates, below, root);
    result = ca_try(&crossed, old_root, error);
    if (result != 1)
        goto out;
    /* mitmproxy sends a chain only where there is more than one certificate. */
    if (sk_X509_num(crossed.certificates) == 1 &&
        X509_add_cert(crossed.certificates, old_root, X509_ADD_FLAG_UP_REF) != 1)
        result = error_set(error, 1, "out of memory");
    else
        set_chain(new_ca, &crossed.certificates);
out:
    X509_free(cross);
    sk_X509_pop_free(crossed.certificates, X509_free);
    return result;
}

/* Clients look for a key by its identifier, in the certificate that they trust as well. */
static bool has_identifier_of(X509 *certificate, X509 *root)
{
    const ASN1_OCTET_STRING *own = X509_get0_subject_key_id(certificate);
    const ASN1_OCTET_STRING *other = X509_get0_subject_key_id(root);
    return own == NULL || other == NULL || ASN1_OCTET_STRING_cmp(own, other) == 0;
}

int ca_keep_cross(struct ca *new_ca, const struct ca *old_ca, struct error *error)
{
    X509 *root = ca_root(new_ca);
    /* Two bridges would stand in each other's way. */
    bool bridge_counts = ca_bridges(new_ca) == 0;
    int at = crossed_at(old_ca->certificates, root, bridge_counts);
    if (at < 0)
        return 0;
    X509 *cross = sk_X509_value(old_ca->certificates, at);
    if (!certificate_is_bridge(cross) && !has_identifier_of(cross, root))
        return 0;
    STACK_OF(X509) *chain = sk_X509_new_null();
    if (chain == NULL)
        return error_set(error, 1, "out of memory");
    if (add_chain(chain, new_ca->certificates, 0, root, error) != 0)
        goto fail;
    int below = sk_X509_num(chain);
    if (add_chain(chain, old_ca->certificates, at, NULL, error) != 0)
        goto fail;
    cut_chain(chain, below, root);
    set_chain(new_ca, &chain);
    return 0;
fail:
    sk_X509_pop_free(chain, X509_free);
    return -1;
}

static int find_expired(const STACK_OF(X509) * chain, int first)
{
    int i = first;
    while (i < sk_X509_num(chain) && !certificate_has_expired(sk_X509_value(chain, i)))
        i++;
    return i;
}

static X509 *find_issuer(const STACK_OF(X509) * roots, X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(roots); i++)
        if (certificate_is_issued_by(certificate, sk_X509_value(roots, i)))
            return sk_X509_value(roots, i);
    return NULL;
}

bool ca_drop_expired(struct ca *ca, const STACK_OF(X509) * roots)
{
    X509 *root = sk_X509_value(roots, 0);
    int at = root != NULL ? crossed_at(ca->certificates, root, false) : -1;
    int expired = at >= 0 ? find_expired(ca->certificates, at) : -1;
    if (expired < 0 || expired == sk_X509_num(ca->certificates))
        return false;
    while (sk_X509_num(ca->certificates) > expired)
        X509_free(sk_X509_pop(ca->certificates));
    /* The root stands where nothing vouches for it any more. What does is sent by mitmproxy only
     * where something follows. */
    X509 *last = expired == at ? root : NULL;
    if (last == NULL && expired == 1)
        last = find_issuer(roots, ca_certificate(ca));
    if (last != NULL)
        X509_add_cert(ca->certificates, last, X509_ADD_FLAG_UP_REF);
    return true;
}
