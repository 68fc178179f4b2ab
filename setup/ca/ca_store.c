#include "setup/ca/ca_store.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "setup/ca/ca_bridge.h"
#include "setup/ca/ca_roots.h"
#include "setup/ca/ca_rotate.h"
#include "setup/ca/ca_vouch.h"
#include "setup/ca/confdir.h"

struct store {
    const struct exports *exports;
    struct confdir confdir;
    struct ca ca;
    STACK_OF(X509) * roots; /* the current one first, then earlier ones that have not expired */
};

/* The roots become those, which belong to the store then; NULL is an error that has been said. */
static int set_roots(struct store *store, STACK_OF(X509) * roots)
{
    if (roots == NULL)
        return -1;
    sk_X509_pop_free(store->roots, X509_free);
    store->roots = roots;
    return 0;
}

/* 1 if there is a CA in the confdir, 0 if there is none, -1 with error if it cannot be read. */
static int load(struct store *store, const char *path, struct error *error)
{
    size_t size;
    char *pem = confdir_read(&store->confdir, CA_FILE, &size, error);
    if (pem == NULL)
        return errno == ENOENT ? 0 : -1;
    int result = ca_parse(pem, size, &store->ca, error);
    ca_file_release(pem, size);
    return result == 0 ? 1 : error_prefix(error, "%s", path);
}

static int read_roots(struct store *store, bool must_be_good, const char *path, struct error *error)
{
    return set_roots(store, roots_read(&store->confdir, &store->ca, store->exports->known,
                                       must_be_good, path, error));
}

static int write_ca(struct store *store, const struct ca *ca, struct error *error)
{
    size_t size;
    char *pem = ca_to_pem(ca, &size, error);
    if (pem == NULL)
        return -1;
    int result = confdir_write(&store->confdir, CA_FILE, pem, size, 0600, error);
    ca_file_release(pem, size);
    return result;
}

/* The CA that is there stays, but for what has expired in its chain. Where that cannot be taken out
 * it harms few clients, which is better than none served. */
static int keep(struct store *store, const char *path, struct error *error)
{
    struct error failure;
    if (ca_drop_expired(&store->ca, store->roots)) {
        if (write_ca(store, &store->ca, &failure) == 0)
            log_info("%s: certificates that have expired taken out", path);
        else
            log_warn("%s: has certificates that have expired: %s", path, failure.text);
        if (ca_warn_of_lost(&store->ca, NULL, store->roots, path, error) != 0)
            return -1;
    }
    return confdir_tighten(&store->confdir, CA_FILE, 0600, error);
}

static int keep_checked(struct store *store, const char *path, struct error *error)
{
    if (read_roots(store, true, path, error) != 0)
        return -1;
    if (ca_needs_bridge(&store->ca))
        log_warn("%s: subjectKeyIdentifier is not the SHA-1 of the key: with mitmproxy before "
                 "12.2.3 clients will not accept what it issues",
                 path);
    return keep(store, path, error);
}

/* The public files first: with the key in place everything has to be. */
static int install(struct store *store, struct ca *ca, const char *path, const char *what,
                   struct error *error)
{
    if (store->exports->read_only)
        return error_set(error, 1, "%s: not changed: export directory %s: %s", path,
                         store->exports->config->export_dir, strerror(EROFS));
    if (roots_write(&store->confdir, store->roots, error) != 0 || write_ca(store, ca, error) != 0)
        return -1;
    log_info("%s: %s", path, what);
    return 0;
}

static int make(struct store *store, const char *path, struct error *error)
{
    if (ca_generate(&store->ca, error) != 0)
        return error_prefix(error, "%s", path);
    if (set_roots(store, roots_make(ca_root(&store->ca), NULL, error)) != 0)
        return -1;
    return install(store, &store->ca, path, "made a new CA (ECDSA P-256)", error);
}

static bool is_same_ca(const struct ca *a, const struct ca *b)
{
    return certificates_are_of_one_ca(sk_X509_value(a->certificates, ca_bridges(a)),
                                      sk_X509_value(b->certificates, ca_bridges(b)));
}

/* source takes the place of the CA that is there. */
static int replace(struct store *store, struct ca *source, const char *path, struct error *error)
{
    bool renewed = is_same_ca(source, &store->ca);
    STACK_OF(X509) *roots = roots_make(ca_root(source), store->roots, error);
    if (roots == NULL || ca_vouch(source, &store->ca, store->roots, path, error) != 0) {
        sk_X509_pop_free(roots, X509_free);
        return error_prefix(error, "%s", path);
    }
    set_roots(store, roots);
    return install(store, source, path,
                   renewed ? "certificate renewed from MITMPROXY_CA_DIR"
                           : "replaced by the CA of MITMPROXY_CA_DIR",
                   error);
}

/* Is the CA that is there what would be made of source? Then it begins like that, but that a
 * certificate of another CA's may stand in the root's place. */
static bool is_installed(const struct store *store, const struct ca *source)
{
    const STACK_OF(X509) *there = store->ca.certificates;
    X509 *root = ca_root(source);
    bool brings_bridge = ca_bridges(source) > 0;
    bool bridged = ca_bridges(&store->ca) > 0;
    int at = bridged && !brings_bridge ? 1 : 0;
    if (EVP_PKEY_eq(source->key, store->ca.key) != 1 ||
        bridged != (brings_bridge || ca_needs_bridge(source)))
        return false;
    for (int i = 0; i < sk_X509_num(source->certificates); i++) {
        X509 *certificate = sk_X509_value(source->certificates, i);
        if (certificate == root)
            continue;
        if (at >= sk_X509_num(there) || X509_cmp(certificate, sk_X509_value(there, at++)) != 0)
            return false;
    }
    X509 *last = sk_X509_value(there, at);
    return last != NULL && certificates_are_of_one_ca(last, root) &&
           (!certificate_is_self_signed(last) || X509_cmp(last, root) == 0);
}

/* There is a CA: it stays if it is what source would give, or gives way to that. */
static int follow_source(struct store *store, struct ca *source, const char *path,
                         struct error *error)
{
    if (read_roots(store, false, path, error) != 0)
        return -1;
    if (is_installed(store, source)) {
        /* From the chain alone it cannot be told whose root an earlier one was. */
        if (set_roots(store, roots_make(ca_root(source), store->roots, error)) != 0)
            return -1;
        return keep(store, path, error);
    }
    if (ca_bridge(source, path, error) != 0)
        return error_prefix(error, "%s", path);
    ca_drop_expired(&store->ca, store->roots);
    return replace(store, source, path, error);
}

/* There is none. */
static int take_source(struct store *store, struct ca *source, const char *path,
                       struct error *error)
{
    if (ca_bridge(source, path, error) != 0)
        return error_prefix(error, "%s", path);
    if (set_roots(store, roots_make(ca_root(source), NULL, error)) != 0)
        return -1;
    return install(store, source, path, "taken from MITMPROXY_CA_DIR", error);
}

static int settle_ca(struct store *store, struct ca *source, struct error *error)
{
    char path[PATH_MAX];
    confdir_path(&store->confdir, CA_FILE, path);
    int there = load(store, path, error);
    if (source != NULL && there < 0)
        log_warn("%s; it gives way to the CA of MITMPROXY_CA_DIR", error->text);
    if (source != NULL)
        return there > 0 ? follow_source(store, source, path, error)
                         : take_source(store, source, path, error);
    if (there < 0)
        return -1;
    return there == 1 ? keep_checked(store, path, error) : make(store, path, error);
}

char *ca_store_prepare(const struct exports *exports, struct ca *source, size_t *size,
                       struct error *error)
{
    struct store store = {.exports = exports};
    char *pem = NULL;
    if (confdir_open(&store.confdir, exports->config, error) == 0) {
        if (settle_ca(&store, source, error) == 0 &&
            roots_write(&store.confdir, store.roots, error) == 0 &&
            confdir_complete(&store.confdir, error) == 0)
            pem = certificates_to_pem(store.roots, size, error);
        confdir_close(&store.confdir);
    }
    ca_free(&store.ca);
    sk_X509_pop_free(store.roots, X509_free);
    return pem;
}
