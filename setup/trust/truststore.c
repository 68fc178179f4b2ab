#include "setup/trust/truststore.h"

#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setup/x509/ca.h"

enum { SALT_SIZE = 16, ITERATIONS = 2048 };

/* Java takes a certificate in a PKCS#12 file for a trusted one only if its bag has this attribute
 * of Oracle's (sun.security.pkcs12, "trustedKeyUsage"); the value means any use. */
static const char java_trusted_key_usage[] = "2.16.840.1.113894.746875.1.1";

static int add_attributes(PKCS12_SAFEBAG *bag, X509 *certificate, int number)
{
    char name[32];
    char *subject = X509_NAME_oneline(X509_get_subject_name(certificate), NULL, 0);
    const void *any_use = OBJ_nid2obj(NID_anyExtendedKeyUsage);
    char alias[128];
    /* Aliases must differ. */
    snprintf(name, sizeof(name), "%03d", number);
    snprintf(alias, sizeof(alias), "%s %.100s", name, subject != NULL ? subject : "");
    OPENSSL_free(subject);
    return PKCS12_add_friendlyname_utf8(bag, alias, -1) == 1 &&
           PKCS12_add1_attr_by_txt(bag, java_trusted_key_usage, V_ASN1_OBJECT, any_use, -1) == 1;
}

static int add_certificate(STACK_OF(PKCS12_SAFEBAG) * bags, X509 *certificate, int number)
{
    PKCS12_SAFEBAG *bag = PKCS12_SAFEBAG_create_cert(certificate);
    if (bag != NULL && add_attributes(bag, certificate, number) &&
        sk_PKCS12_SAFEBAG_push(bags, bag) > 0)
        return 1;
    PKCS12_SAFEBAG_free(bag);
    return 0;
}

/* Makes the salt from the content: a random one would change the file each time. */
static int make_salt(const STACK_OF(X509) * certificates, unsigned char salt[static SALT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int made = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (int i = 0; made && i < sk_X509_num(certificates); i++) {
        unsigned int size = 0;
        made = X509_digest(sk_X509_value(certificates, i), EVP_sha256(), digest, &size) == 1 &&
               EVP_DigestUpdate(context, digest, size) == 1;
    }
    made = made && EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    memcpy(salt, digest, SALT_SIZE);
    return made;
}

/* Packs the bags, which stay the caller's. NULL if OpenSSL fails. */
static PKCS12 *pack(STACK_OF(PKCS12_SAFEBAG) * bags, unsigned char salt[static SALT_SIZE])
{
    STACK_OF(PKCS7) *safes = NULL;
    PKCS12 *store = NULL;
    /* Certificates are no secret: the safe is not encrypted, the MAC alone needs the password. */
    if (PKCS12_add_safe(&safes, bags, -1, 0, NULL) == 1)
        store = PKCS12_add_safes(safes, 0);
    sk_PKCS7_pop_free(safes, PKCS7_free);
    if (store != NULL && PKCS12_set_mac(store, TRUSTSTORE_PASSWORD, -1, salt, SALT_SIZE, ITERATIONS,
                                        EVP_sha256()) == 1)
        return store;
    PKCS12_free(store);
    return NULL;
}

unsigned char *truststore_make(const STACK_OF(X509) * certificates, size_t *size,
                               struct error *error)
{
    unsigned char salt[SALT_SIZE];
    unsigned char *data = NULL;
    STACK_OF(PKCS12_SAFEBAG) *bags = sk_PKCS12_SAFEBAG_new_null();
    int made = bags != NULL && make_salt(certificates, salt);
    for (int i = 0; made && i < sk_X509_num(certificates); i++)
        made = add_certificate(bags, sk_X509_value(certificates, i), i);
    PKCS12 *store = made ? pack(bags, salt) : NULL;
    int length = store != NULL ? i2d_PKCS12(store, NULL) : -1;
    if (length > 0)
        data = malloc((size_t)length);
    if (data != NULL) {
        unsigned char *end = data;
        i2d_PKCS12(store, &end);
        *size = (size_t)length;
    } else {
        error_set(error, 1, "make a trust store: %s", openssl_reason());
    }
    PKCS12_free(store);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return data;
}
