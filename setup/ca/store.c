#include "setup/ca/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "setup/ca/check.h"
#include "setup/ca/confdir.h"
#include "setup/ca/replace.h"
#include "setup/x509/issue.h"

/* The files with the root alone. mitmproxy chose the names. */
#define ROOT_FILE "mitmproxy-ca-cert.pem"
#define ROOT_FILE_CER "mitmproxy-ca-cert.cer"

struct store {
    const struct exported *exported;
    struct confdir confdir;
    char path[PATH_MAX]; /* of the CA's file */
    struct ca ca;        /* the one in the confdir */
};

/* The certificates in the root's file. None if it is missing or damaged: it can be made anew. */
static STACK_OF(X509) * read_root(const struct confdir *confdir)
{
    struct error ignored;
    size_t size;
    char *pem = confdir_read(confdir, ROOT_FILE, &size, &ignored);
    STACK_OF(X509) *root = pem != NULL ? certificates_from_pem(pem, size, &ignored) : NULL;
    free(pem);
    return root != NULL ? root : sk_X509_new_null();
}

/* The root of a cross-signed CA is only in a file of its own. That file may be lost, or newer than
 * the CA's if setup was killed between the two. Then the root is source's, or an exported one. */
static void separate_cross(struct store *store, const struct ca *source)
{
    STACK_OF(X509) *roots = read_root(&store->confdir);
    if (source != NULL) {
        X509_add_cert(roots, ca_root(source), X509_ADD_FLAG_UP_REF);
        X509_add_certs(roots, source->other_roots, X509_ADD_FLAG_UP_REF);
    }
    X509_add_certs(roots, bundle_certificates(store->exported->known), X509_ADD_FLAG_UP_REF);
    ca_separate_cross(&store->ca, roots);
    sk_X509_pop_free(roots, X509_free);
}

/* 1 if there is a CA in the confdir, 0 if there is none, -1 with error if it cannot be read. */
static int load(struct store *store, const struct ca *source, struct error *error)
{
    size_t size;
    char *pem = confdir_read(&store->confdir, CA_FILE, &size, error);
    if (pem == NULL)
        return errno == ENOENT ? 0 : -1;
    int result = ca_parse(pem, size, &store->ca, error);
    ca_file_release(pem, size);
    if (result != 0)
        return error_prefix(error, "%s", store->path);
    separate_cross(store, source);
    ca_sort_chain(&store->ca);
    return 1;
}

/* The root and the other roots of source (NULL for none), as PEM. */
static char *roots_to_pem(X509 *root, const struct ca *source, size_t *size, struct error *error)
{
    char *pem = NULL;
    STACK_OF(X509) *roots = sk_X509_new_null();
    if (roots != NULL && sk_X509_push(roots, root) > 0 &&
        (source == NULL || X509_add_certs(roots, source->other_roots, X509_ADD_FLAG_NO_DUP) == 1))
        pem = certificates_to_pem(roots, size, error);
    else
        error_set(error, 1, "out of memory");
    sk_X509_free(roots);
    return pem;
}

static int write_root(const struct store *store, X509 *root, struct error *error)
{
    size_t size;
    char *pem = roots_to_pem(root, NULL, &size, error);
    if (pem == NULL)
        return -1;
    int result = confdir_update(&store->confdir, ROOT_FILE, pem, size, error);
    if (result == 0)
        result = confdir_update(&store->confdir, ROOT_FILE_CER, pem, size, error);
    free(pem);
    return result;
}

static int write_ca(const struct store *store, const struct ca *ca, struct error *error)
{
    size_t size;
    char *pem = ca_to_pem(ca, &size, error);
    if (pem == NULL)
        return -1;
    int result = confdir_write(&store->confdir, CA_FILE, pem, size, 0600, error);
    ca_file_release(pem, size);
    return result;
}

/* Writes the public files first: once the key is in place, they must be, too. */
static int install(const struct store *store, const struct ca *ca, const char *what,
                   struct error *error)
{
    if (store->exported->read_only)
        return error_set(error, 1, "%s: not changed: export directory %s: %s", store->path,
                         store->exported->config->export_dir, strerror(EROFS));
    if (write_root(store, ca_root(ca), error) != 0 || write_ca(store, ca, error) != 0)
        return -1;
    log_info("%s: %s", store->path, what);
    return 0;
}

static int generate(struct store *store, struct error *error)
{
    if (ca_generate(&store->ca, error) != 0)
        return error_prefix(error, "%s", store->path);
    return install(store, &store->ca, "made a new CA (ECDSA P-256)", error);
}

/* Keeps the CA that is there, without an expired cross certificate. Failing to write that is only a
 * warning: the certificate harms some clients, but without mitmdump all would fail. */
static int keep(struct store *store, struct error *error)
{
    struct error failure;
    if (ca_drop_expired_cross(&store->ca)) {
        if (write_ca(store, &store->ca, &failure) == 0)
            log_info("%s: certificates that have expired taken out", store->path);
        else
            log_warn("%s: has certificates that have expired: %s", store->path, failure.text);
    }
    return confdir_tighten(&store->confdir, CA_FILE, 0600, error);
}

static bool is_same(const struct ca *a, const struct ca *b)
{
    int count = sk_X509_num(a->certificates);
    if (EVP_PKEY_eq(a->key, b->key) != 1 || sk_X509_num(b->certificates) != count)
        return false;
    for (int i = 0; i < count; i++)
        if (X509_cmp(sk_X509_value(a->certificates, i), sk_X509_value(b->certificates, i)) != 0)
            return false;
    return true;
}

static int replace(struct store *store, struct ca *source, struct error *error)
{
    bool renewed = certificates_are_of_one_ca(ca_certificate(source), ca_certificate(&store->ca));
    ca_replace(source, &store->ca, store->path);
    return install(store, source,
                   renewed ? "certificate renewed from MITMPROXY_CA_DIR"
                           : "replaced by the CA of MITMPROXY_CA_DIR",
                   error);
}

/* Puts source in place, unless it is there already. Returns its root, which belongs to source; NULL
 * with error. */
static X509 *settle_on_source(struct store *store, struct ca *source, struct error *error)
{
    int there = load(store, source, error);
    int result;
    if (there < 0)
        log_warn("%s; it is replaced by the CA of MITMPROXY_CA_DIR", error->text);
    if (there <= 0)
        result = install(store, source, "taken from MITMPROXY_CA_DIR", error);
    else if (is_same(source, &store->ca))
        result = keep(store, error);
    else
        result = replace(store, source, error);
    return result == 0 ? ca_root(source) : NULL;
}

/* Without a source: keeps the CA that is there, or makes one. Returns the store's root, or NULL
 * with error. */
static X509 *settle(struct store *store, struct error *error)
{
    int there = load(store, NULL, error);
    if (there < 0)
        return NULL;
    if (there == 0)
        return generate(store, error) == 0 ? ca_root(&store->ca) : NULL;
    if (ca_check(&store->ca, store->path, error) != 0) {
        error_prefix(error, "%s", store->path);
        return NULL;
    }
    return keep(store, error) == 0 ? ca_root(&store->ca) : NULL;
}

char *ca_store_prepare(const struct exported *exported, struct ca *source, size_t *size,
                       struct error *error)
{
    struct store store = {.exported = exported};
    char *pem = NULL;
    if (confdir_open(&store.confdir, exported->config, error) != 0)
        return NULL;
    confdir_path(&store.confdir, CA_FILE, store.path);
    X509 *root = source != NULL ? settle_on_source(&store, source, error) : settle(&store, error);
    if (root != NULL && write_root(&store, root, error) == 0 &&
        confdir_complete(&store.confdir, error) == 0)
        pem = roots_to_pem(root, source, size, error);
    confdir_close(&store.confdir);
    ca_free(&store.ca);
    return pem;
}
