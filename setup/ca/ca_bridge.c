#include "setup/ca/ca_bridge.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/log.h"

bool ca_needs_bridge(const struct ca *ca)
{
    X509 *certificate = ca_certificate(ca);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const ASN1_OCTET_STRING *identifier = X509_get0_subject_key_id(certificate);
    if (identifier == NULL || X509_pubkey_digest(certificate, EVP_sha1(), digest, &size) != 1)
        return false;
    return (unsigned int)ASN1_STRING_length(identifier) != size ||
           memcmp(ASN1_STRING_get0_data(identifier), digest, size) != 0;
}

/* Do all path lengths leave room for one more CA below the first? */
static bool has_room(const struct ca *ca)
{
    int below = 1;
    for (int i = 0; i < sk_X509_num(ca->certificates); i++) {
        X509 *certificate = sk_X509_value(ca->certificates, i);
        long room = X509_get_pathlen(certificate);
        if (room >= 0 && room < below)
            return false;
        below += !certificate_is_self_issued(certificate);
    }
    return true;
}

/* The CA's own name and a unit; NULL when memory is out. */
static X509_NAME *bridge_name(const X509_NAME *of)
{
    static const unsigned char unit[] = "mitmproxy";
    X509_NAME *name = X509_NAME_dup(of);
    if (name == NULL || X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_ASC, unit, -1, -1, 0) == 1)
        return name;
    X509_NAME_free(name);
    return NULL;
}

/* With the CA's own name it counts against no path length (RFC 5280, 6.1.4), but Java takes it for
 * another form of the root that it trusts, leaves it out, and misses the identifier; so it has a
 * name of its own where there is room. */
int ca_bridge(struct ca *ca, const char *path, struct error *error)
{
    X509 *own = ca_certificate(ca);
    bool room = has_room(ca);
    if (!ca_needs_bridge(ca))
        return 0;
    if (!room && certificate_is_self_signed(own))
        log_warn("%s: subjectKeyIdentifier is not the SHA-1 of the key, and the path length leaves "
                 "no room to help: with mitmproxy before 12.2.3 Java clients will not accept what "
                 "it issues",
                 path);
    X509_NAME *name = room ? bridge_name(X509_get_subject_name(own)) : NULL;
    const struct issue issue = {
        .subject = own,
        .name = name,
        .issuer = own,
        .signer = ca->key,
        .not_before = X509_get0_notBefore(own),
        .not_after = X509_get0_notAfter(own),
        .hash_identifier = true,
    };
    X509 *bridge = certificate_issue(&issue, error);
    X509_NAME_free(name);
    if (bridge == NULL)
        return -1;
    if (sk_X509_unshift(ca->certificates, bridge) > 0)
        return 0;
    X509_free(bridge);
    return error_set(error, 1, "out of memory");
}

bool certificate_is_bridge(X509 *certificate)
{
    X509_NAME *name = bridge_name(X509_get_issuer_name(certificate));
    bool is_one =
        (certificate_is_self_issued(certificate) ||
         (name != NULL && X509_NAME_cmp(name, X509_get_subject_name(certificate)) == 0)) &&
        !certificate_is_self_signed(certificate) &&
        X509_verify(certificate, X509_get0_pubkey(certificate)) == 1;
    X509_NAME_free(name);
    /* A signature by another key leaves words in the queue. */
    ERR_clear_error();
    return is_one;
}

int ca_bridges(const struct ca *ca)
{
    return sk_X509_num(ca->certificates) > 1 && certificate_is_bridge(ca_certificate(ca)) ? 1 : 0;
}
