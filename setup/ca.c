#include "setup/ca.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

enum { DAY = 24 * 60 * 60, WARN_DAYS = 30 };

/* OpenSSL's last reason, in words. */
static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason != NULL ? reason : "unknown reason";
}

static X509 *first_certificate(const struct ca *ca)
{
    return sk_X509_value(ca->certificates, 0);
}

/* A key that needs a password is an error, never a prompt. */
static int no_password(char *buffer, int size, int writing, void *argument)
{
    (void)buffer, (void)size, (void)writing, (void)argument;
    return -1;
}

static int parse_certificates(const char *pem, size_t size, struct ca *ca, struct error *error)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    X509 *certificate;
    ca->certificates = sk_X509_new_null();
    if (bio == NULL || ca->certificates == NULL)
        return error_set(error, 1, "out of memory");
    while ((certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
        sk_X509_push(ca->certificates, certificate);
    BIO_free(bio);
    /* The loop ends with "no start line" at the end of the file, else with a damaged block. */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return error_set(error, EX_CONFIG, "damaged certificate: %s", openssl_reason());
    ERR_clear_error();
    if (sk_X509_num(ca->certificates) == 0)
        return error_set(error, EX_CONFIG, "no certificate in it");
    return 0;
}

int ca_parse(const char *pem, size_t size, struct ca *ca, struct error *error)
{
    memset(ca, 0, sizeof(*ca));
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    if (bio == NULL)
        return error_set(error, 1, "out of memory");
    ca->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    if (ca->key == NULL) {
        if (strstr(pem, "ENCRYPTED") != NULL)
            return error_set(error, EX_CONFIG, "the private key is encrypted");
        return error_set(error, EX_CONFIG, "no usable private key in it: %s", openssl_reason());
    }
    ERR_clear_error();
    return parse_certificates(pem, size, ca, error);
}

static void time_to_text(const ASN1_TIME *when, char text[static 32])
{
    struct tm utc;
    strlcpy(text, "?", 32);
    if (ASN1_TIME_to_tm(when, &utc) == 1)
        strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &utc);
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
    if (X509_cmp_current_time(until) < 0)
        return error_set(error, EX_CONFIG, "the certificate expired at %s", text);
    if (X509_cmp_time(until, &soon) < 0)
        log_warn("%s: the certificate expires at %s", path, text);
    return 0;
}

int ca_check(const struct ca *ca, const char *path, struct error *error)
{
    X509 *certificate = first_certificate(ca);
    if (X509_check_private_key(certificate, ca->key) != 1)
        return error_set(error, EX_CONFIG, "the key does not belong to the first certificate");
    if (X509_check_ca(certificate) != 1)
        return error_set(error, EX_CONFIG,
                         "the first certificate is not a CA's (basicConstraints CA:TRUE)");
    if ((X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) == 0)
        return error_set(error, EX_CONFIG,
                         "the first certificate may not sign (keyUsage lacks keyCertSign)");
    return check_validity(certificate, path, error);
}

static int add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
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

static int set_name(X509 *certificate)
{
    static const unsigned char name[] = "mitmproxy";
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1;
}

/* "hash" is the SHA-1 of the public key, which mitmproxy before 12.2.3 takes for granted when it
 * names the issuer's key in a leaf. */
static int fill_certificate(X509 *certificate, EVP_PKEY *key)
{
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -2L * DAY) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), 3650, 0, NULL) != NULL &&
           X509_set_pubkey(certificate, key) == 1 && set_name(certificate) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

int ca_generate(struct ca *ca, struct error *error)
{
    X509 *certificate = X509_new();
    ca->certificates = sk_X509_new_null();
    ca->key = EVP_EC_gen("P-256");
    if (certificate == NULL || ca->certificates == NULL || ca->key == NULL ||
        !fill_certificate(certificate, ca->key) ||
        sk_X509_push(ca->certificates, certificate) < 1) {
        X509_free(certificate);
        return error_set(error, 1, "make a CA: %s", openssl_reason());
    }
    return 0;
}

/* What a memory BIO holds, copied; the BIO is cleared and freed. */
static char *take_bio(BIO *bio, size_t *size)
{
    char *data;
    long length = BIO_get_mem_data(bio, &data);
    char *copy = malloc((size_t)length + 1);
    if (copy != NULL) {
        memcpy(copy, data, (size_t)length);
        copy[length] = '\0';
        *size = (size_t)length;
    }
    explicit_bzero(data, (size_t)length);
    BIO_free(bio);
    return copy;
}

char *ca_to_pem(const struct ca *ca, size_t *size, struct error *error)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    int written = bio != NULL && PEM_write_bio_PrivateKey(bio, ca->key, NULL, NULL, 0, NULL, NULL);
    for (int i = 0; written && i < sk_X509_num(ca->certificates); i++)
        written = PEM_write_bio_X509(bio, sk_X509_value(ca->certificates, i));
    char *pem = written ? take_bio(bio, size) : NULL;
    if (pem == NULL)
        error_set(error, 1, "write the CA as PEM: %s", openssl_reason());
    return pem;
}

char *certificate_to_pem(X509 *certificate, size_t *size, struct error *error)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    if (bio != NULL && PEM_write_bio_X509(bio, certificate) == 1)
        pem = take_bio(bio, size);
    if (pem == NULL)
        error_set(error, 1, "write a certificate as PEM: %s", openssl_reason());
    return pem;
}

X509 *certificate_from_pem(const char *pem, size_t size)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

void certificate_sha256(X509 *certificate, char hex[static 65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    X509_digest(certificate, EVP_sha256(), digest, &length);
    hex[0] = '\0';
    for (unsigned int i = 0; i < length && i < 32; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
}

void ca_free(struct ca *ca)
{
    EVP_PKEY_free(ca->key);
    sk_X509_pop_free(ca->certificates, X509_free);
    memset(ca, 0, sizeof(*ca));
}
