#include "setup/ca/ca_rotate.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "setup/ca/ca_bridge.h"
#include "setup/ca/ca_check.h"
#include "setup/ca/ca_trial.h"

/* Java refuses more than ten certificates, the leaf among them
 * (jdk.tls.maxCertificateChainLength). */
enum { CHAIN_MAX = 9 };

/* The same, with bridges as no part of it unless they count. */
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

/* Adds the certificates of a chain from a place on, except one (or NULL). 0, or -1 with error. */
static int add_chain(STACK_OF(X509) * to, const STACK_OF(X509) * chain, int first, X509 *except,
                     struct error *error)
{
    for (int i = first; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        if (except != NULL && X509_cmp(certificate, except) == 0)
            continue;
        if (X509_add_cert(to, certificate, X509_ADD_FLAG_UP_REF) != 1)
            return error_set(error, 1, "out of memory");
    }
    return 0;
}

/* Has the root issued it? Who trusts the root needs nothing that leads there. */
static bool is_issued_by(X509 *certificate, X509 *root)
{
    bool issued =
        X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(root)) == 0 &&
        X509_verify(certificate, X509_get0_pubkey(root)) == 1;
    /* A signature by another key leaves words in the queue. */
    ERR_clear_error();
    return issued;
}

/* Takes off a chain what is of no use from the place on where the old CA's begins: what the new
 * root has issued, what leads to a certificate whose path length has no room for what is below, and
 * what is more than clients take.
 */
static void cut_chain(STACK_OF(X509) * chain, int first, X509 *new_root)
{
    int below = 0;
    int keep = sk_X509_num(chain);
    for (int i = 0; i < keep; i++) {
        X509 *certificate = sk_X509_value(chain, i);
        long room = X509_get_pathlen(certificate);
        if (i >= first && is_issued_by(certificate, new_root))
            keep = i;
        else if (i > first && room >= 0 && room < below)
            keep = i - 1;
        below += !certificate_is_self_issued(certificate);
    }
    if (keep > CHAIN_MAX && first <= CHAIN_MAX)
        keep = CHAIN_MAX;
    while (sk_X509_num(chain) > keep)
        X509_free(sk_X509_pop(chain));
}

static const ASN1_TIME *earlier_end(X509 *a, X509 *b)
{
    const ASN1_TIME *end_of_a = X509_get0_notAfter(a);
    const ASN1_TIME *end_of_b = X509_get0_notAfter(b);
    return ASN1_TIME_compare(end_of_a, end_of_b) < 0 ? end_of_a : end_of_b;
}

/* The new root's name and key in a certificate by the old CA, of which issuer is a certificate. */
static X509 *issue_cross(X509 *root, X509 *issuer, EVP_PKEY *signer, struct error *error)
{
    const struct issue issue = {
        .subject = root,
        .issuer = issuer,
        .signer = signer,
        .not_after = earlier_end(root, issuer),
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

int ca_cross_sign(struct ca *new_ca, const struct ca *old_ca, X509 *old_root, struct error *error)
{
    X509 *root = ca_root(new_ca);
    /* A bridge of the old CA leads to its leaves, and to nothing else. */
    int first = ca_bridges(old_ca);
    struct ca crossed = {.key = new_ca->key, .certificates = sk_X509_new_null()};
    X509 *issuer = sk_X509_value(old_ca->certificates, first);
    /* After a rotation that is a certificate by the CA before, which may end sooner. */
    if (certificates_are_of_one_ca(issuer, old_root))
        issuer = old_root;
    X509 *cross = issue_cross(root, issuer, old_ca->key, error);
    int result = cross != NULL ? -1 : 0;
    if (cross == NULL || add_chain(crossed.certificates, new_ca->certificates, 0, root, error) != 0)
        goto out;
    int below = sk_X509_num(crossed.certificates) + 1;
    error_set(error, 1, "out of memory");
    if (X509_add_cert(crossed.certificates, cross, X509_ADD_FLAG_UP_REF) != 1 ||
        add_chain(crossed.certificates, old_ca->certificates, first, NULL, error) != 0)
        goto out;
    result = ca_try(&crossed, old_root, error);
    if (result != 1)
        goto out;
    cut_chain(crossed.certificates, below, root);
    /* mitmproxy sends a chain only where there is more than one certificate. */
    if (sk_X509_num(crossed.certificates) == 1)
        X509_add_cert(crossed.certificates, old_root, X509_ADD_FLAG_UP_REF);
    set_chain(new_ca, &crossed.certificates);
out:
    X509_free(cross);
    sk_X509_pop_free(crossed.certificates, X509_free);
    return result;
}

int ca_keep_cross(struct ca *new_ca, const struct ca *old_ca, struct error *error)
{
    X509 *root = ca_root(new_ca);
    /* Two bridges would stand in each other's way. */
    bool bridge_counts = ca_bridges(new_ca) == 0;
    int at = crossed_at(old_ca->certificates, root, bridge_counts);
    if (at < 0)
        return 0;
    STACK_OF(X509) *chain = sk_X509_new_null();
    if (chain == NULL)
        return error_set(error, 1, "out of memory");
    if (add_chain(chain, new_ca->certificates, 0, root, error) != 0 ||
        add_chain(chain, old_ca->certificates, at, NULL, error) != 0) {
        sk_X509_pop_free(chain, X509_free);
        return -1;
    }
    set_chain(new_ca, &chain);
    return 0;
}

static int find_expired(const STACK_OF(X509) * chain, int first)
{
    int i = first;
    while (i < sk_X509_num(chain) && !certificate_has_expired(sk_X509_value(chain, i)))
        i++;
    return i;
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
    for (int i = 1; expired == 1 && last == NULL && i < sk_X509_num(roots); i++)
        if (is_issued_by(ca_certificate(ca), sk_X509_value(roots, i)))
            last = sk_X509_value(roots, i);
    if (last != NULL)
        X509_add_cert(ca->certificates, last, X509_ADD_FLAG_UP_REF);
    return true;
}
