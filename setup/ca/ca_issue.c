#include "setup/ca/ca.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>

enum { DAY = 24 * 60 * 60, VALID_DAYS = 3650 };

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* 127 random bits, positive: RFC 5280, 4.1.2.2. */
static int set_serial(X509 *certificate)
{
    BIGNUM *serial = BN_new();
    int set = serial != NULL && BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL;
    BN_free(serial);
    return set;
}

static int set_new_name(X509 *certificate, bool leaf)
{
    const unsigned char *name = (const unsigned char *)(leaf ? "no host" : "mitmproxy");
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, name, -1, -1, 0) == 1;
}

static int set_subject(X509 *certificate, const struct issue *issue)
{
    if (issue->subject == NULL)
        return set_new_name(certificate, issue->leaf) &&
               X509_set_pubkey(certificate, issue->key) == 1;
    const X509_NAME *name =
        issue->name != NULL ? issue->name : X509_get_subject_name(issue->subject);
    return X509_set_subject_name(certificate, name) == 1 &&
           X509_set_pubkey(certificate, X509_get0_pubkey(issue->subject)) == 1;
}

static int set_validity(X509 *certificate, const struct issue *issue)
{
    int set = issue->not_before != NULL
                  ? X509_set1_notBefore(certificate, issue->not_before) == 1
                  : X509_gmtime_adj(X509_getm_notBefore(certificate), -2L * DAY) != NULL;
    if (!set)
        return 0;
    if (issue->not_after != NULL)
        return X509_set1_notAfter(certificate, issue->not_after) == 1;
    return X509_time_adj_ex(X509_getm_notAfter(certificate), VALID_DAYS, 0, NULL) != NULL;
}

/* An extension of the subject's own certificate where that has one: a key has one identifier, or a
 * client that looks for it by another one does not find it, and limits are to stay. */
static int take_extension(X509 *certificate, const struct issue *issue, int nid,
                          const char *otherwise)
{
    int at = issue->subject != NULL ? X509_get_ext_by_NID(issue->subject, nid, -1) : -1;
    if (at >= 0)
        return X509_add_ext(certificate, X509_get_ext(issue->subject, at), -1) == 1;
    return add_extension(certificate, certificate, nid, otherwise);
}

/* "hash" is the SHA-1 of the public key, which mitmproxy before 12.2.3 takes for granted when it
 * names the issuer's key in a leaf. */
static int add_key_identifier(X509 *certificate, const struct issue *issue)
{
    if (issue->hash_identifier)
        return add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
    return take_extension(certificate, issue, NID_subject_key_identifier, "hash");
}

/* What limits the subject's own certificate beside that, limits this one, too. */
static int take_limits(X509 *certificate, const struct issue *issue)
{
    static const int limits[] = {NID_name_constraints, NID_ext_key_usage};
    for (size_t i = 0; issue->subject != NULL && i < sizeof(limits) / sizeof(limits[0]); i++)
        if (X509_get_ext_by_NID(issue->subject, limits[i], -1) >= 0 &&
            !take_extension(certificate, issue, limits[i], NULL))
            return 0;
    return 1;
}

/* The issuer's identifier, or what it would be if it had one. (OpenSSL's own "keyid" is an error
 * then; and without any, a certificate of the issuer's own name counts as self-signed.) */
static int add_issuer_identifier(X509 *certificate, X509 *issuer)
{
    AUTHORITY_KEYID *identifier = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *own = X509_get0_subject_key_id(issuer);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    int added = identifier != NULL;
    if (added && own != NULL)
        identifier->keyid = ASN1_OCTET_STRING_dup(own);
    else if (added && X509_pubkey_digest(issuer, EVP_sha1(), digest, &size) == 1) {
        identifier->keyid = ASN1_OCTET_STRING_new();
        added = identifier->keyid != NULL &&
                ASN1_OCTET_STRING_set(identifier->keyid, digest, (int)size) == 1;
    }
    added = added && identifier->keyid != NULL &&
            X509_add1_ext_i2d(certificate, NID_authority_key_identifier, identifier, 0, 0) == 1;
    AUTHORITY_KEYID_free(identifier);
    return added;
}

static int add_extensions(X509 *certificate, const struct issue *issue)
{
    const char *constraints = issue->leaf ? "critical,CA:FALSE" : "critical,CA:TRUE";
    const char *usage = issue->leaf ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign";
    return take_extension(certificate, issue, NID_basic_constraints, constraints) &&
           take_extension(certificate, issue, NID_key_usage, usage) &&
           add_key_identifier(certificate, issue) && take_limits(certificate, issue) &&
           (issue->issuer == NULL || add_issuer_identifier(certificate, issue->issuer));
}

X509 *certificate_issue(const struct issue *issue, struct error *error)
{
    X509 *certificate = X509_new();
    if (certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        set_serial(certificate) && set_validity(certificate, issue) &&
        set_subject(certificate, issue) &&
        X509_set_issuer_name(
            certificate,
            X509_get_subject_name(issue->issuer != NULL ? issue->issuer : certificate)) == 1 &&
        add_extensions(certificate, issue) &&
        X509_sign(certificate, issue->signer, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    error_set(error, 1, "issue a certificate: %s", openssl_reason());
    return NULL;
}
