#include "setup/ca_check.h"

#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

enum { DAY = 24 * 60 * 60, WARN_DAYS = 30, RSA_BITS_MIN = 2048, EC_BITS_MIN = 224 };

void time_to_text(const ASN1_TIME *when, char text[static 32])
{
    struct tm utc;
    strlcpy(text, "?", 32);
    if (ASN1_TIME_to_tm(when, &utc) == 1)
        strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &utc);
}

bool certificate_has_expired(X509 *certificate)
{
    return X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
}

/* mitmproxy signs with SHA-256, which rules out the likes of Ed25519. */
static int check_key(const struct ca *ca, struct error *error)
{
    int type = EVP_PKEY_get_base_id(ca->key);
    int bits = EVP_PKEY_get_bits(ca->key);
    if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC)
        return error_set(error, EX_CONFIG, "the key is %s; accepted: RSA from %d bits, or EC",
                         EVP_PKEY_get0_type_name(ca->key), RSA_BITS_MIN);
    int least = type == EVP_PKEY_RSA ? RSA_BITS_MIN : EC_BITS_MIN;
    if (bits < least)
        return error_set(error, EX_CONFIG, "the key is %s of %d bits; accepted: from %d bits",
                         EVP_PKEY_get0_type_name(ca->key), bits, least);
    if (X509_check_private_key(ca_certificate(ca), ca->key) != 1)
        return error_set(error, EX_CONFIG,
                         "the private key does not belong to the first certificate");
    return 0;
}

static int check_signature(X509 *certificate, struct error *error)
{
    int digest = NID_undef;
    int algorithm = X509_get_signature_nid(certificate);
    OBJ_find_sigid_algs(algorithm, &digest, NULL);
    bool broken = digest == NID_md5 || digest == NID_md4 || digest == NID_md2;
    /* A root's own signature proves nothing to anybody; any other one of SHA-1 is refused. */
    bool weak = digest == NID_sha1 && !certificate_is_self_signed(certificate);
    if (!broken && !weak)
        return 0;
    return error_set(error, EX_CONFIG, "a certificate is signed with %s, which clients refuse",
                     OBJ_nid2ln(algorithm));
}

static int check_extensions(X509 *certificate, struct error *error)
{
    if (X509_check_ca(certificate) != 1)
        return error_set(error, EX_CONFIG,
                         "the first certificate is not a CA's (basicConstraints lacks CA:TRUE)");
    if ((X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) == 0)
        return error_set(error, EX_CONFIG,
                         "the first certificate may not sign (keyUsage lacks keyCertSign)");
    if (X509_NAME_entry_count(X509_get_subject_name(certificate)) == 0)
        return error_set(error, EX_CONFIG, "the first certificate has no subject");
    return 0;
}

static int check_validity(X509 *certificate, const char *path, struct error *error)
{
    const ASN1_TIME *from = X509_get0_notBefore(certificate);
    const ASN1_TIME *until = X509_get0_notAfter(certificate);
    time_t soon = time(NULL) + WARN_DAYS * DAY;
    char text[32];
    if (X509_cmp_current_time(from) > 0) {
        time_to_text(from, text);
        return error_set(error, EX_CONFIG, "the certificate is not valid before %s", text);
    }
    time_to_text(until, text);
    if (certificate_has_expired(certificate))
        return error_set(error, EX_CONFIG, "the certificate expired at %s", text);
    if (X509_cmp_time(until, &soon) < 0)
        log_warn("%s: the certificate expires at %s", path, text);
    return 0;
}

/* mitmproxy before 12.2.3 names the issuer in a leaf by the SHA-1 of its key, whatever the CA's own
 * identifier is. */
static void warn_of_key_identifier(X509 *certificate, const char *path)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const ASN1_OCTET_STRING *identifier = X509_get0_subject_key_id(certificate);
    if (identifier == NULL || X509_pubkey_digest(certificate, EVP_sha1(), digest, &size) != 1)
        return;
    if ((unsigned int)ASN1_STRING_length(identifier) != size ||
        memcmp(ASN1_STRING_get0_data(identifier), digest, size) != 0)
        log_warn("%s: subjectKeyIdentifier is not the SHA-1 of the key: with mitmproxy before "
                 "12.2.3 clients will not accept what it issues",
                 path);
}

/* The whole chain as a client sees it that trusts the root alone: names, path lengths, dates. */
static int check_chain(const struct ca *ca, struct error *error)
{
    X509 *root = ca_root(ca);
    X509_STORE *trusted = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int result = -1;
    if (root == NULL) {
        error_set(error, EX_CONFIG,
                  "the chain does not end in a self-signed certificate that clients could trust");
        goto out;
    }
    if (trusted == NULL || context == NULL || X509_STORE_add_cert(trusted, root) != 1 ||
        X509_STORE_CTX_init(context, trusted, ca_certificate(ca), ca->certificates) != 1) {
        error_set(error, 1, "check the chain: %s", openssl_reason());
        goto out;
    }
    if (X509_verify_cert(context) == 1)
        result = 0;
    else
        error_set(error, EX_CONFIG, "the chain does not verify: %s",
                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
out:
    X509_STORE_CTX_free(context);
    X509_STORE_free(trusted);
    return result;
}

int ca_check(const struct ca *ca, const char *path, struct error *error)
{
    X509 *certificate = ca_certificate(ca);
    if (check_key(ca, error) != 0 || check_extensions(certificate, error) != 0 ||
        check_validity(certificate, path, error) != 0)
        return -1;
    for (int i = 0; i < sk_X509_num(ca->certificates); i++)
        if (check_signature(sk_X509_value(ca->certificates, i), error) != 0)
            return -1;
    if (check_chain(ca, error) != 0)
        return -1;
    warn_of_key_identifier(certificate, path);
    return 0;
}
