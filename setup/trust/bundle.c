#include "setup/trust/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/files/files.h"
#include "setup/x509/pem_block.h"

/* The first of these that has certificates holds the system's roots. They are those of Debian and
 * Alpine; Red Hat; SUSE; newer Red Hat; Alpine again, and LibreSSL. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    NULL,
};

enum { SOURCE_MAX_BYTES = 16 * 1024 * 1024 };

struct bundle {
    STACK_OF(X509) * certificates;
    unsigned char (*digests)[SHA256_DIGEST_LENGTH]; /* of the certificates in it */
    size_t count;
    size_t capacity;
};

struct bundle *bundle_new(void)
{
    struct bundle *bundle = calloc(1, sizeof(*bundle));
    if (bundle == NULL)
        return NULL;
    bundle->certificates = sk_X509_new_null();
    if (bundle->certificates == NULL) {
        free(bundle);
        return NULL;
    }
    return bundle;
}

void bundle_free(struct bundle *bundle)
{
    if (bundle == NULL)
        return;
    sk_X509_pop_free(bundle->certificates, X509_free);
    free(bundle->digests);
    free(bundle);
}

static bool is_in(const struct bundle *bundle, const unsigned char *digest)
{
    for (size_t i = 0; i < bundle->count; i++)
        if (memcmp(bundle->digests[i], digest, SHA256_DIGEST_LENGTH) == 0)
            return true;
    return false;
}

/* Takes the certificate over. (If the digests cannot grow, it may come in twice: better than not at
 * all.) */
static bool push(struct bundle *bundle, const unsigned char *digest, X509 *certificate)
{
    if (sk_X509_push(bundle->certificates, certificate) < 1) {
        X509_free(certificate);
        return false;
    }
    if (bundle->count == bundle->capacity) {
        size_t capacity = bundle->capacity == 0 ? 256 : 2 * bundle->capacity;
        void *grown = reallocarray(bundle->digests, capacity, sizeof(*bundle->digests));
        if (grown == NULL)
            return true;
        bundle->digests = grown;
        bundle->capacity = capacity;
    }
    memcpy(bundle->digests[bundle->count++], digest, SHA256_DIGEST_LENGTH);
    return true;
}

/* False if it is not a certificate. One that is in the bundle already is not decoded again, because
 * decoding takes the time. */
static bool add_der(struct bundle *bundle, const unsigned char *der, long size)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const unsigned char *at = der;
    SHA256(der, (size_t)size, digest);
    if (is_in(bundle, digest))
        return true;
    X509 *certificate = d2i_X509(NULL, &at, size);
    if (certificate != NULL && at == der + size)
        return push(bundle, digest, certificate);
    X509_free(certificate);
    return false;
}

int bundle_add(struct bundle *bundle, X509 *certificate)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    if (X509_digest(certificate, EVP_sha256(), digest, NULL) != 1)
        return -1;
    if (is_in(bundle, digest))
        return 0;
    X509_up_ref(certificate);
    return push(bundle, digest, certificate) ? 0 : -1;
}

static bool add_block(struct bundle *bundle, const struct pem_block *block)
{
    BIO *in = BIO_new_mem_buf(block->begin, (int)block->size);
    bool added = false;
    char *name, *header;
    unsigned char *der;
    long length;
    if (in != NULL && PEM_read_bio(in, &name, &header, &der, &length) == 1) {
        added = add_der(bundle, der, length);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    BIO_free(in);
    return added;
}

size_t bundle_add_pem(struct bundle *bundle, const char *pem, size_t size, const char *path)
{
    struct pem_block block = {0};
    size_t found = 0, damaged = 0;
    while (pem_block_next(pem, size, &block)) {
        if (!pem_block_is_certificate(&block))
            continue;
        if (add_block(bundle, &block))
            found++;
        else
            damaged++;
    }
    if (damaged > 0 && path != NULL)
        log_warn("%s: damaged certificates, which are left out: %zu", path, damaged);
    return found;
}

/* Adds a file of the system's or an operator's, so links are followed, as OpenSSL does. path is
 * only for messages. */
static size_t add_file(struct bundle *bundle, int directory, const char *name, const char *path)
{
    struct error ignored;
    struct stat st;
    size_t size, found = 0;
    int fd = openat(directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SOURCE_MAX_BYTES) {
        char *pem = file_read_open(fd, (size_t)st.st_size, path, &size, &ignored);
        if (pem != NULL)
            found = bundle_add_pem(bundle, pem, size, path);
        free(pem);
    }
    close(fd);
    return found;
}

size_t bundle_add_system_roots(struct bundle *bundle)
{
    for (size_t i = 0; system_bundles[i] != NULL; i++) {
        size_t found = add_file(bundle, AT_FDCWD, system_bundles[i], system_bundles[i]);
        if (found > 0)
            return found;
    }
    return 0;
}

/* As openssl-rehash(1) names files: eight hexadecimal digits, a dot, a number. */
static int has_hashed_name(const struct dirent *entry)
{
    const char *name = entry->d_name;
    if (strspn(name, "0123456789abcdef") != 8 || name[8] != '.')
        return 0;
    return name[9] != '\0' && strspn(name + 9, "0123456789") == strlen(name + 9);
}

size_t bundle_add_directory(struct bundle *bundle, const char *path)
{
    struct dirent **entries;
    size_t found = 0;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return 0;
    int count = scandirat(directory, ".", &entries, has_hashed_name, alphasort);
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX];
        snprintf(file, sizeof(file), "%.3800s/%s", path, entries[i]->d_name);
        found += add_file(bundle, directory, entries[i]->d_name, file);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    close(directory);
    return found;
}

STACK_OF(X509) * bundle_certificates(const struct bundle *bundle)
{
    return bundle->certificates;
}
