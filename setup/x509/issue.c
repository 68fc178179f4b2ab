#include "setup/x509/issue.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { DAY = 24 * 60 * 60, VALID_DAYS = 3650 };

/* 127 random bits, positive: RFC 5280, 4.1.2.2. */
static bool set_serial(X509 *certificate)
{
    BIGNUM *serial = BN_new();
    bool set = serial != NULL && BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL;
    BN_free(serial);
    return set;
}

/* What a root and a cross certificate have in common; NULL if memory is out. */
static X509 *new_certificate(void)
{
    X509 *certificate = X509_new();
    if (certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        set_serial(certificate) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -2L * DAY) != NULL)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_name(X509_NAME *name, const char *field)
{
    static const unsigned char value[] = "mitmproxy";
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, value, -1, -1, 0) == 1;
}

/* "hash" is the SHA-1 of the key, which mitmproxy before 12.2.3 takes for granted. */
static bool fill_root(X509 *root, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(root);
    return X509_time_adj_ex(X509_getm_notAfter(root), VALID_DAYS, 0, NULL) != NULL &&
           add_name(name, "CN") && add_name(name, "O") && X509_set_issuer_name(root, name) == 1 &&
           X509_set_pubkey(root, key) == 1 &&
           add_extension(root, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(root, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(root, NID_subject_key_identifier, "hash");
}

int ca_generate(struct ca *ca, struct error *error)
{
    memset(ca, 0, sizeof(*ca));
    ca->certificates = sk_X509_new_null();
    ca->key = EVP_EC_gen("P-256");
    X509 *root = new_certificate();
    if (ca->certificates != NULL && ca->key != NULL && root != NULL && fill_root(root, ca->key) &&
        X509_sign(root, ca->key, EVP_sha256()) > 0 && sk_X509_push(ca->certificates, root) > 0)
        return 0;
    X509_free(root);
    return error_set(error, 1, "make a CA: %s", openssl_reason());
}

/* Clients find an issuer by its key identifier, so the root's is copied; and so are the root's
 * limits. A root may lack any of these. */
static bool copy_extensions(X509 *certificate, X509 *root)
{
    static const int copied[] = {NID_basic_constraints, NID_key_usage, NID_subject_key_identifier,
                                 NID_name_constraints, NID_ext_key_usage};
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        int at = X509_get_ext_by_NID(root, copied[i], -1);
        if (at >= 0 && X509_add_ext(certificate, X509_get_ext(root, at), -1) != 1)
            return false;
    }
    return true;
}

/* Adds the issuer's key identifier, or the SHA-1 of its key if it has none. With neither, the
 * certificate counts as self-signed if its issuer has the same name. */
static bool add_issuer_identifier(X509 *certificate, X509 *issuer)
{
    AUTHORITY_KEYID *identifier = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *own = X509_get0_subject_key_id(issuer);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    bool added = identifier != NULL;
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

X509 *certificate_cross_sign(X509 *root, X509 *issuer, EVP_PKEY *signer, struct error *error)
{
    const ASN1_TIME *end = X509_get0_notAfter(root);
    if (ASN1_TIME_compare(X509_get0_notAfter(issuer), end) < 0)
        end = X509_get0_notAfter(issuer);
    X509 *certificate = new_certificate();
    if (certificate != NULL && X509_set1_notAfter(certificate, end) == 1 &&
        X509_set_subject_name(certificate, X509_get_subject_name(root)) == 1 &&
        X509_set_pubkey(certificate, X509_get0_pubkey(root)) == 1 &&
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
        copy_extensions(certificate, root) && add_issuer_identifier(certificate, issuer) &&
        X509_sign(certificate, signer, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    error_set(error, 1, "issue a cross certificate: %s", openssl_reason());
    return NULL;
}
