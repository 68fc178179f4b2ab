#include "setup/ca_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log.h"
#include "setup/ca_check.h"
#include "setup/ca_rotate.h"
#include "setup/confdir.h"

/* The certificate that is exported, and the earlier ones that clients may still trust. */
#define ROOT_FILE "mitmproxy-ca-cert.pem"
#define PREVIOUS_FILE "mitmproxy-ca-previous.pem"

struct store {
    struct confdir confdir;
    struct ca ca;
    STACK_OF(X509) * roots; /* the current one first, then earlier ones that have not expired */
};

/* The certificates in a file of the confdir, none if it is not there or not readable as such: it
 * can be made anew. */
static STACK_OF(X509) * read_certificates(const struct store *store, const char *name)
{
    struct error ignored;
    size_t size;
    char *pem = confdir_read(&store->confdir, name, &size, &ignored);
    STACK_OF(X509) *certificates = pem != NULL ? certificates_from_pem(pem, size, &ignored) : NULL;
    free(pem);
    return certificates != NULL ? certificates : sk_X509_new_null();
}

static bool contains(const STACK_OF(X509) * certificates, X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (X509_cmp(sk_X509_value(certificates, i), certificate) == 0)
            return true;
    return false;
}

static void add_root(struct store *store, X509 *certificate)
{
    if (certificate == NULL || contains(store->roots, certificate))
        return;
    X509_up_ref(certificate);
    sk_X509_push(store->roots, certificate);
}

static void add_earlier_roots(struct store *store, const STACK_OF(X509) * certificates)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (!certificate_has_expired(sk_X509_value(certificates, i)))
            add_root(store, sk_X509_value(certificates, i));
}

/* After a rotation the key's first certificate is one by the CA before; the root that belongs to
 * the key is in a file of its own. NULL if that is not so. */
static X509 *rotated_root(const struct store *store, const STACK_OF(X509) * kept)
{
    X509 *candidate = sk_X509_value(kept, 0);
    if (candidate == NULL || !certificate_is_self_signed(candidate) ||
        certificate_is_self_signed(ca_certificate(&store->ca)) ||
        X509_check_private_key(candidate, store->ca.key) != 1)
        return NULL;
    return candidate;
}

/* Finds the roots of the CA that is there, and checks it as its clients see it. */
static int take_roots(struct store *store, bool must_be_good, const char *path, struct error *error)
{
    STACK_OF(X509) *kept = read_certificates(store, ROOT_FILE);
    STACK_OF(X509) *previous = read_certificates(store, PREVIOUS_FILE);
    struct ca seen = {.key = store->ca.key};
    X509 *root = rotated_root(store, kept);
    seen.certificates = root != NULL ? sk_X509_new_null() : store->ca.certificates;
    if (root != NULL)
        sk_X509_push(seen.certificates, root);
    int result = must_be_good ? ca_check(&seen, path, error) : 0;
    add_root(store, ca_root(&seen));
    add_earlier_roots(store, previous);
    if (root != NULL)
        sk_X509_free(seen.certificates);
    sk_X509_pop_free(kept, X509_free);
    sk_X509_pop_free(previous, X509_free);
    return result == 0 ? 0 : error_prefix(error, "%s", path);
}

/* 1 if there is a CA in the confdir, 0 if there is none, -1 with error if it cannot be read. */
static int load(struct store *store, const char *path, struct error *error)
{
    size_t size;
    char *pem = confdir_read(&store->confdir, CA_FILE, &size, error);
    if (pem == NULL)
        return errno == ENOENT ? 0 : -1;
    int result = ca_parse(pem, size, &store->ca, error);
    explicit_bzero(pem, size);
    free(pem);
    return result == 0 ? 1 : error_prefix(error, "%s", path);
}

static int keep(struct store *store, const char *path, struct error *error)
{
    if (take_roots(store, true, path, error) != 0)
        return -1;
    return confdir_tighten(&store->confdir, CA_FILE, 0600, error);
}

/* The public files first: with the key in place everything has to be. */
static int write_ca(struct store *store, const struct ca *ca, struct error *error)
{
    size_t size;
    char *pem = ca_to_pem(ca, &size, error);
    if (pem == NULL)
        return -1;
    int result = confdir_write(&store->confdir, CA_FILE, pem, size, 0600, error);
    explicit_bzero(pem, size);
    free(pem);
    return result;
}

static int write_certificates(const struct store *store, const char *name,
                              const STACK_OF(X509) * certificates, struct error *error)
{
    size_t size;
    char *pem = certificates_to_pem(certificates, &size, error);
    if (pem == NULL)
        return -1;
    int result = confdir_update(&store->confdir, name, pem, size, error);
    free(pem);
    return result;
}

/* What follows from the roots: the current one by mitmproxy's names, and those before. */
static int write_roots(const struct store *store, struct error *error)
{
    STACK_OF(X509) *current = sk_X509_new_null();
    STACK_OF(X509) *previous = sk_X509_dup(store->roots);
    sk_X509_push(current, sk_X509_shift(previous));
    int result = 0;
    if (sk_X509_num(previous) > 0)
        result = write_certificates(store, PREVIOUS_FILE, previous, error);
    if (result == 0)
        result = write_certificates(store, ROOT_FILE, current, error);
    if (result == 0)
        result = write_certificates(store, "mitmproxy-ca-cert.cer", current, error);
    sk_X509_free(current);
    sk_X509_free(previous);
    return result;
}

static int install(struct store *store, struct ca *ca, const char *path, const char *what,
                   struct error *error)
{
    if (write_roots(store, error) != 0 || write_ca(store, ca, error) != 0)
        return -1;
    log_info("%s: %s", path, what);
    return 0;
}

static int make(struct store *store, const char *path, struct error *error)
{
    if (ca_generate(&store->ca, error) != 0)
        return error_prefix(error, "%s", path);
    add_root(store, ca_root(&store->ca));
    return install(store, &store->ca, path, "made a new CA (ECDSA P-256)", error);
}

/* The old CA vouches for the new one where it can. */
static int rotate(struct store *store, struct ca *source, const char *path, struct error *error)
{
    STACK_OF(X509) *earlier = store->roots;
    X509 *root = ca_root(source);
    store->roots = sk_X509_new_null();
    add_root(store, root);
    add_earlier_roots(store, earlier);
    X509 *old_root = sk_X509_value(earlier, 0);
    int crossed = 0;
    if (old_root == NULL)
        error_set(error, EX_CONFIG, "the old CA has no root");
    else
        crossed = ca_cross_sign(source, &store->ca, old_root, error);
    sk_X509_pop_free(earlier, X509_free);
    if (crossed < 0)
        return -1;
    if (crossed == 0)
        log_warn("%s: clients that trust only the root before will not accept the new CA: %s", path,
                 error->text);
    return install(store, source, path, "replaced by the CA of MITMPROXY_CA_DIR", error);
}

/* A certificate that was renewed for the same key and name: nobody needs another chain, and what
 * vouches for the key stays. */
static int renew(struct store *store, struct ca *source, const char *path, struct error *error)
{
    X509 *root = ca_root(source);
    bool crossed = !certificate_is_self_signed(ca_certificate(&store->ca)) &&
                   certificate_is_self_signed(ca_certificate(source));
    STACK_OF(X509) *earlier = store->roots;
    store->roots = sk_X509_new_null();
    add_root(store, root);
    add_earlier_roots(store, earlier);
    sk_X509_pop_free(earlier, X509_free);
    return install(store, crossed ? &store->ca : source, path,
                   "certificate renewed from MITMPROXY_CA_DIR", error);
}

static int take_source(struct store *store, int there, struct ca *source, const char *path,
                       struct error *error)
{
    if (there <= 0) {
        if (there < 0)
            log_warn("%s; it gives way to the CA of MITMPROXY_CA_DIR", error->text);
        add_root(store, ca_root(source));
        return install(store, source, path, "taken from MITMPROXY_CA_DIR", error);
    }
    take_roots(store, false, path, error);
    bool same_name = X509_NAME_cmp(X509_get_subject_name(ca_certificate(source)),
                                   X509_get_subject_name(ca_certificate(&store->ca))) == 0;
    if (EVP_PKEY_eq(source->key, store->ca.key) != 1 || !same_name)
        return rotate(store, source, path, error);
    X509 *current = sk_X509_value(store->roots, 0);
    if (current == NULL || X509_cmp(ca_root(source), current) != 0)
        return renew(store, source, path, error);
    return confdir_tighten(&store->confdir, CA_FILE, 0600, error);
}

static int settle_ca(struct store *store, struct ca *source, struct error *error)
{
    char path[PATH_MAX];
    confdir_path(&store->confdir, CA_FILE, path);
    int there = load(store, path, error);
    if (source != NULL)
        return take_source(store, there, source, path, error);
    if (there < 0)
        return -1;
    return there == 1 ? keep(store, path, error) : make(store, path, error);
}

char *ca_store_prepare(const struct config *config, struct ca *source, size_t *size,
                       struct error *error)
{
    struct store store = {.roots = sk_X509_new_null()};
    char *pem = NULL;
    if (confdir_open(&store.confdir, config, error) == 0) {
        if (settle_ca(&store, source, error) == 0 && write_roots(&store, error) == 0 &&
            confdir_complete(&store.confdir, error) == 0)
            pem = certificates_to_pem(store.roots, size, error);
        confdir_close(&store.confdir);
    }
    ca_free(&store.ca);
    sk_X509_pop_free(store.roots, X509_free);
    return pem;
}
