#include "setup/ca/check.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "common/base/log.h"

enum { DAY = 24 * 60 * 60, WARN_DAYS = 30, RSA_BITS_MIN = 2048 };

void time_to_text(const ASN1_TIME *when, char text[static 32])
{
    struct tm utc;
    strlcpy(text, "?", 32);
    if (ASN1_TIME_to_tm(when, &utc) == 1)
        strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &utc);
}

/* Is the key's curve one that TLS clients accept in certificates? */
static bool has_usual_curve(const EVP_PKEY *key)
{
    char name[64];
    char encoding[16] = "";
    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding, sizeof(encoding),
                                   NULL);
    if (EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1 ||
        strcmp(encoding, OSSL_PKEY_EC_ENCODING_EXPLICIT) == 0)
        return false;
    int curve = OBJ_sn2nid(name);
    return curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1;
}

/* mitmproxy signs with SHA-256, so the CA's own key cannot be Ed25519 or Ed448. */
static int check_kind(const EVP_PKEY *key, struct error *error)
{
    int type = EVP_PKEY_get_base_id(key);
    if (type == EVP_PKEY_RSA || type == EVP_PKEY_EC)
        return 0;
    return error_set(error, EX_CONFIG, "the key is %s; accepted: RSA from %d bits, or EC",
                     EVP_PKEY_get0_type_name(key), RSA_BITS_MIN);
}

/* The CAs above only sign certificates, so their keys may be of more kinds. */
static bool signs_for_clients(const EVP_PKEY *key)
{
    int type = EVP_PKEY_get_base_id(key);
    return type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS || type == EVP_PKEY_EC ||
           type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448;
}

static int check_strength(const EVP_PKEY *key, const char *what, struct error *error)
{
    int type = EVP_PKEY_get_base_id(key);
    int bits = EVP_PKEY_get_bits(key);
    if ((type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS) && bits < RSA_BITS_MIN)
        return error_set(error, EX_CONFIG, "%s key is RSA of %d bits; accepted: from %d bits", what,
                         bits, RSA_BITS_MIN);
    if (type == EVP_PKEY_EC && !has_usual_curve(key))
        return error_set(error, EX_CONFIG,
                         "%s key is EC of an unusual or explicit curve; accepted: P-256, P-384, "
                         "P-521",
                         what);
    return 0;
}

/* Either half of a key may be damaged in its file. */
static bool halves_match(EVP_PKEY *key)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool match = context != NULL && EVP_PKEY_pairwise_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return match;
}

int ca_check_key(const struct ca *ca, struct error *error)
{
    if (check_kind(ca->key, error) != 0 || check_strength(ca->key, "the", error) != 0)
        return -1;
    if (!halves_match(ca->key))
        return error_set(error, EX_CONFIG,
                         "the private key is damaged: its private half does not match its public "
                         "half");
    if (X509_check_private_key(ca_certificate(ca), ca->key) != 1)
        return error_set(error, EX_CONFIG,
                         "the private key does not belong to the first certificate");
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

static int check_above(X509 *certificate, const char *path, struct error *error)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    if (!signs_for_clients(key))
        return error_set(error, EX_CONFIG, "the chain's key is %s, which clients do not support",
                         EVP_PKEY_get0_type_name(key));
    if (check_strength(key, "the chain's", error) != 0)
        return -1;
    return check_validity(certificate, path, error);
}

static int check_signature(X509 *certificate, struct error *error)
{
    int digest = NID_undef;
    /* In RSA-PSS the digest is a parameter. */
    X509_get_signature_info(certificate, &digest, NULL, NULL, NULL);
    bool broken = digest == NID_md5 || digest == NID_md4 || digest == NID_md2;
    /* Nobody relies on a root's own signature; on any other, SHA-1 is refused. */
    bool weak = digest == NID_sha1 && !certificate_is_self_signed(certificate);
    if (!broken && !weak)
        return 0;
    return error_set(error, EX_CONFIG, "a certificate is signed with %s (%s), which clients refuse",
                     OBJ_nid2ln(X509_get_signature_nid(certificate)), OBJ_nid2ln(digest));
}

static int check_extensions(X509 *certificate, struct error *error)
{
    if ((X509_get_extension_flags(certificate) & EXFLAG_CA) == 0)
        return error_set(error, EX_CONFIG,
                         "the first certificate is not a CA's (basicConstraints lacks CA:TRUE)");
    if ((X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) == 0)
        return error_set(error, EX_CONFIG,
                         "the first certificate may not sign (keyUsage lacks keyCertSign)");
    uint32_t uses = X509_get_extended_key_usage(certificate);
    if (uses != UINT32_MAX && (uses & (XKU_SSL_SERVER | XKU_ANYEKU)) == 0)
        return error_set(error, EX_CONFIG,
                         "the first certificate is not for servers (extendedKeyUsage lacks "
                         "serverAuth)");
    if (X509_NAME_entry_count(X509_get_subject_name(certificate)) == 0)
        return error_set(error, EX_CONFIG, "the first certificate has no subject");
    return 0;
}

/* Checked here, because OpenSSL takes the first certificate for the leaf and does not count it. */
static int check_path_lengths(const STACK_OF(X509) * chain, struct error *error)
{
    int below = 0;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        long room = X509_get_pathlen(certificate);
        if (room >= 0 && room < below)
            return error_set(
                error, EX_CONFIG,
                "certificate %d of the chain has path length %ld, with %d CAs below it", i + 1,
                room, below);
        below += !certificate_is_self_issued(certificate);
    }
    return 0;
}

/* Checks the whole chain as a client that trusts its root alone: names, path lengths, dates. */
static int check_chain(STACK_OF(X509) * chain, struct error *error)
{
    X509 *root = certificates_root(chain);
    X509_STORE *trusted = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int result = -1;
    if (check_path_lengths(chain, error) != 0)
        goto out;
    if (root == NULL) {
        error_set(error, EX_CONFIG,
                  "the chain does not end in a self-signed certificate that clients could trust");
        goto out;
    }
    if (trusted == NULL || context == NULL || X509_STORE_add_cert(trusted, root) != 1 ||
        X509_STORE_CTX_init(context, trusted, sk_X509_value(chain, 0), chain) != 1) {
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

int ca_check_cross(const struct ca *ca, struct error *error)
{
    STACK_OF(X509) *sent = ca_sent(ca);
    int result = sent != NULL ? check_chain(sent, error) : error_set(error, 1, "out of memory");
    sk_X509_free(sent);
    return result;
}

int ca_check(const struct ca *ca, const char *path, struct error *error)
{
    return ca_check_key(ca, error) == 0 ? ca_check_certificates(ca, path, error) : -1;
}

int ca_check_certificates(const struct ca *ca, const char *path, struct error *error)
{
    X509 *certificate = ca_certificate(ca);
    if (check_extensions(certificate, error) != 0 || check_validity(certificate, path, error) != 0)
        return -1;
    for (int i = 0; i < sk_X509_num(ca->certificates); i++) {
        X509 *above = sk_X509_value(ca->certificates, i);
        if (check_signature(above, error) != 0 || (i > 0 && check_above(above, path, error) != 0))
            return -1;
    }
    if (check_chain(ca->certificates, error) != 0)
        return -1;
    if (X509_get_ext_by_NID(certificate, NID_name_constraints, -1) >= 0)
        log_warn("%s: nameConstraints: clients will refuse it for other hosts", path);
    return 0;
}
