#include "setup/x509/ca.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason != NULL ? reason : "unknown reason";
}

X509 *ca_certificate(const struct ca *ca)
{
    return sk_X509_value(ca->certificates, 0);
}

bool certificate_is_self_signed(X509 *certificate)
{
    return X509_self_signed(certificate, 0) == 1;
}

bool certificate_is_self_issued(X509 *certificate)
{
    return (X509_get_extension_flags(certificate) & EXFLAG_SI) != 0;
}

/* Compares the names, and verifies the signature. */
static bool is_issued_by(X509 *certificate, X509 *issuer)
{
    bool issued =
        X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(issuer)) == 0 &&
        X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;
    /* A signature by another key leaves an error in OpenSSL's queue. */
    ERR_clear_error();
    return issued;
}

bool certificate_has_expired(X509 *certificate)
{
    return X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
}

int64_t certificate_end(X509 *certificate)
{
    struct tm utc = {0};
    ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc);
    return (int64_t)timegm(&utc);
}

bool certificates_contain(const STACK_OF(X509) * certificates, X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (X509_cmp(sk_X509_value(certificates, i), certificate) == 0)
            return true;
    return false;
}

bool certificates_are_of_one_ca(X509 *a, X509 *b)
{
    return X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0 &&
           EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1;
}

X509 *certificates_root(const STACK_OF(X509) * certificates)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (certificate_is_self_signed(sk_X509_value(certificates, i)))
            return sk_X509_value(certificates, i);
    return NULL;
}

X509 *ca_root(const struct ca *ca)
{
    return certificates_root(ca->certificates);
}

STACK_OF(X509) * ca_sent(const struct ca *ca)
{
    STACK_OF(X509) *sent = sk_X509_dup(ca->certificates);
    if (sent == NULL || ca->cross == NULL)
        return sent;
    sk_X509_delete_ptr(sent, ca_root(ca));
    for (int i = 0; i < sk_X509_num(ca->cross); i++)
        if (sk_X509_push(sent, sk_X509_value(ca->cross, i)) < 1) {
            sk_X509_free(sent);
            return NULL;
        }
    return sent;
}

/* The order among several certificates of one CA: valid ones come first, and of those the
 * self-signed ones, which end the chain. */
static int rank(X509 *certificate)
{
    bool valid = X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0 &&
                 !certificate_has_expired(certificate);
    return 2 * valid + certificate_is_self_signed(certificate);
}

/* The best issuer that is not in the chain yet, NULL for none. */
static X509 *find_issuer(const STACK_OF(X509) * among, const STACK_OF(X509) * chain,
                         X509 *certificate)
{
    X509 *found = NULL;
    for (int i = 0; i < sk_X509_num(among); i++) {
        X509 *issuer = sk_X509_value(among, i);
        if (!certificates_contain(chain, issuer) && is_issued_by(certificate, issuer) &&
            (found == NULL || rank(issuer) > rank(found)))
            found = issuer;
    }
    return found;
}

/* The chain from the CA's own certificate up to a root; NULL if there is none, or memory is out. */
static STACK_OF(X509) * find_chain(const STACK_OF(X509) * certificates)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *last = sk_X509_value(certificates, 0);
    while (chain != NULL && last != NULL && X509_add_cert(chain, last, X509_ADD_FLAG_UP_REF) == 1) {
        if (certificate_is_self_signed(last))
            return chain;
        last = find_issuer(certificates, chain, last);
    }
    sk_X509_pop_free(chain, X509_free);
    return NULL;
}

bool ca_sort_chain(struct ca *ca)
{
    STACK_OF(X509) *chain = find_chain(ca->certificates);
    if (chain == NULL)
        return false;
    sk_X509_pop_free(ca->certificates, X509_free);
    ca->certificates = chain;
    return true;
}

/* A key that needs a password is an error, never a prompt. */
static int no_password(char *buffer, int size, int writing, void *argument)
{
    (void)buffer, (void)size, (void)writing, (void)argument;
    return -1;
}

STACK_OF(X509) * certificates_from_pem(const char *pem, size_t size, struct error *error)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    STACK_OF(X509) *certificates = sk_X509_new_null();
    X509 *certificate;
    if (bio == NULL || certificates == NULL) {
        error_set(error, 1, "out of memory");
        goto fail;
    }
    ERR_clear_error();
    while ((certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
        sk_X509_push(certificates, certificate);
    /* The loop ends with "no start line" at the end of the text, else with a damaged block. */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        error_set(error, EX_CONFIG, "damaged certificate: %s", openssl_reason());
        goto fail;
    }
    ERR_clear_error();
    BIO_free(bio);
    return certificates;
fail:
    BIO_free(bio);
    sk_X509_pop_free(certificates, X509_free);
    return NULL;
}

static int count(const char *text, const char *word)
{
    int found = 0;
    for (text = strstr(text, word); text != NULL; text = strstr(text + 1, word))
        found++;
    return found;
}

/* Says what is wrong with a text that cannot be PEM. */
static int check_text(const char *pem, size_t size, struct error *error)
{
    if (size == 0)
        return error_set(error, EX_CONFIG, "empty");
    if (strncmp(pem, "\xef\xbb\xbf", 3) == 0)
        return error_set(error, EX_CONFIG, "begins with a byte order mark, expected PEM");
    if (memchr(pem, '\0', size) != NULL)
        return error_set(error, EX_CONFIG, "has NUL bytes, expected PEM");
    return 0;
}

int ca_parse_key(const char *pem, size_t size, struct ca *ca, struct error *error)
{
    if (check_text(pem, size, error) != 0)
        return -1;
    /* The BEGIN and the END line of a key both end like this. */
    int lines = count(pem, "PRIVATE KEY-----");
    if (lines == 0)
        return error_set(error, EX_CONFIG, "no private key in it, expected PEM");
    if (lines == 1)
        return error_set(error, EX_CONFIG, "the private key is truncated: it has no END line");
    if (lines > 2)
        return error_set(error, EX_CONFIG, "more than one private key in it");
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    if (bio == NULL)
        return error_set(error, 1, "out of memory");
    ca->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    /* OpenSSL's own reason is dropped: for a damaged key it is "unsupported". */
    ERR_clear_error();
    if (ca->key != NULL)
        return 0;
    if (strstr(pem, "ENCRYPTED") != NULL)
        return error_set(error, EX_CONFIG,
                         "the private key is encrypted; mitmdump cannot ask for its password");
    return error_set(error, EX_CONFIG, "the private key is damaged, or of an unknown kind");
}

int ca_parse_certificates(const char *pem, size_t size, struct ca *ca, struct error *error)
{
    if (check_text(pem, size, error) != 0)
        return -1;
    ca->certificates = certificates_from_pem(pem, size, error);
    if (ca->certificates == NULL)
        return -1;
    if (sk_X509_num(ca->certificates) == 0)
        return error_set(error, EX_CONFIG, "no certificate in it, expected PEM");
    return 0;
}

int ca_parse(const char *pem, size_t size, struct ca *ca, struct error *error)
{
    memset(ca, 0, sizeof(*ca));
    return ca_parse_key(pem, size, ca, error) == 0 ? ca_parse_certificates(pem, size, ca, error)
                                                   : -1;
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

static int write_certificates(BIO *bio, const STACK_OF(X509) * certificates)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (PEM_write_bio_X509(bio, sk_X509_value(certificates, i)) != 1)
            return 0;
    return 1;
}

char *ca_to_pem(const struct ca *ca, size_t *size, struct error *error)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    STACK_OF(X509) *sent = ca_sent(ca);
    bool written = bio != NULL && sent != NULL &&
                   PEM_write_bio_PrivateKey(bio, ca->key, NULL, NULL, 0, NULL, NULL) == 1 &&
                   write_certificates(bio, sent);
    sk_X509_free(sent);
    if (written)
        return take_bio(bio, size);
    BIO_free(bio);
    error_set(error, 1, "write the CA as PEM: %s", openssl_reason());
    return NULL;
}

char *certificates_to_pem(const STACK_OF(X509) * certificates, size_t *size, struct error *error)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && write_certificates(bio, certificates))
        return take_bio(bio, size);
    BIO_free(bio);
    error_set(error, 1, "write certificates as PEM: %s", openssl_reason());
    return NULL;
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
    sk_X509_pop_free(ca->cross, X509_free);
    sk_X509_pop_free(ca->other_roots, X509_free);
    memset(ca, 0, sizeof(*ca));
}
