#include "setup/ca/replace.h"

#include <openssl/x509v3.h>

#include "common/base/log.h"
#include "setup/ca/check.h"
#include "setup/x509/issue.h"

static void drop_cross(struct ca *ca)
{
    sk_X509_pop_free(ca->cross, X509_free);
    ca->cross = NULL;
}

/* The certificate of the same name and key as root, NULL if there is none. */
static X509 *find_same(const STACK_OF(X509) * certificates, X509 *root)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (certificates_are_of_one_ca(sk_X509_value(certificates, i), root))
            return sk_X509_value(certificates, i);
    return NULL;
}

/* Clients find an issuer by its key identifier, so that of the root that they trust must be the
 * same. */
static bool have_same_identifier(X509 *a, X509 *b)
{
    const ASN1_OCTET_STRING *of_a = X509_get0_subject_key_id(a);
    const ASN1_OCTET_STRING *of_b = X509_get0_subject_key_id(b);
    return of_a == NULL || of_b == NULL || ASN1_OCTET_STRING_cmp(of_a, of_b) == 0;
}

/* Makes the cross certificate, followed by its issuer's own chain. 0, or -1 with error. */
static int cross_sign(struct ca *new_ca, const struct ca *old_ca, struct error *error)
{
    X509 *cross =
        certificate_cross_sign(ca_root(new_ca), ca_certificate(old_ca), old_ca->key, error);
    if (cross == NULL)
        return -1;
    new_ca->cross = X509_chain_up_ref(old_ca->certificates);
    if (new_ca->cross != NULL && sk_X509_unshift(new_ca->cross, cross) > 0)
        return 0;
    X509_free(cross);
    return error_set(error, 1, "out of memory");
}

/* 0, or -1 with error: why clients of the old root will not accept the new CA. */
static int find_cross(struct ca *new_ca, struct ca *old_ca, struct error *error)
{
    X509 *old_root = ca_root(old_ca);
    if (old_root == NULL)
        return error_set(error, 1, "the old CA has no root");
    X509 *same = find_same(new_ca->certificates, old_root);
    if (same == NULL)
        return cross_sign(new_ca, old_ca, error);
    if (!have_same_identifier(same, old_root))
        return error_set(error, 1, "the root's key identifier has changed");
    /* A new chain that goes through the old root needs no cross certificate. If both have the same
     * root, clients of an even older CA still need the old one. */
    if (same == ca_root(new_ca)) {
        new_ca->cross = old_ca->cross;
        old_ca->cross = NULL;
    }
    return 0;
}

void ca_replace(struct ca *new_ca, struct ca *old_ca, const char *path)
{
    struct error why;
    ca_drop_expired_cross(old_ca);
    if (find_cross(new_ca, old_ca, &why) == 0 &&
        (new_ca->cross == NULL || ca_check_cross(new_ca, &why) == 0))
        return;
    log_warn("%s: clients that trust only the root before will not accept the new CA: %s", path,
             why.text);
    drop_cross(new_ca);
}

/* The index of the certificate with the root's name and key that another CA has issued, or -1. */
static int find_cross_of(const STACK_OF(X509) * certificates, X509 *root)
{
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        X509 *certificate = sk_X509_value(certificates, i);
        if (certificates_are_of_one_ca(certificate, root) &&
            !certificate_is_self_signed(certificate))
            return i;
    }
    return -1;
}

void ca_separate_cross(struct ca *ca, const STACK_OF(X509) * roots)
{
    for (int i = 0; i < sk_X509_num(roots); i++) {
        X509 *root = sk_X509_value(roots, i);
        if (certificates_contain(ca->certificates, root))
            return;
        int at = find_cross_of(ca->certificates, root);
        if (at < 0 || !certificate_is_self_signed(root))
            continue;
        STACK_OF(X509) *cross = sk_X509_new_null();
        if (cross == NULL)
            return;
        while (sk_X509_num(ca->certificates) > at)
            sk_X509_unshift(cross, sk_X509_pop(ca->certificates));
        ca->cross = cross;
        X509_add_cert(ca->certificates, root, X509_ADD_FLAG_UP_REF);
        return;
    }
}

bool ca_drop_expired_cross(struct ca *ca)
{
    for (int i = 0; i < sk_X509_num(ca->cross); i++)
        if (certificate_has_expired(sk_X509_value(ca->cross, i))) {
            drop_cross(ca);
            return true;
        }
    return false;
}
