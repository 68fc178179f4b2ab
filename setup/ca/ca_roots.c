#include "setup/ca/ca_roots.h"

#include <limits.h>
#include <stdlib.h>

#include "setup/ca/ca_chain.h"
#include "setup/ca/ca_check.h"
#include "setup/ca/ca_rotate.h"

/* The certificate that is exported, and the earlier ones that clients may still trust. */
#define ROOT_FILE "mitmproxy-ca-cert.pem"
#define PREVIOUS_FILE "mitmproxy-ca-previous.pem"

/* The certificates in a file of the confdir, none if it is not there or not readable as such: it
 * can be made anew. */
static STACK_OF(X509) * read_certificates(const struct confdir *confdir, const char *name)
{
    struct error ignored;
    size_t size;
    char *pem = confdir_read(confdir, name, &size, &ignored);
    STACK_OF(X509) *certificates = pem != NULL ? certificates_from_pem(pem, size, &ignored) : NULL;
    free(pem);
    return certificates != NULL ? certificates : sk_X509_new_null();
}

static int add(STACK_OF(X509) * roots, X509 *certificate)
{
    return X509_add_cert(roots, certificate, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP);
}

static void add_all(STACK_OF(X509) * roots, const STACK_OF(X509) * more)
{
    for (int i = 0; i < sk_X509_num(more); i++)
        add(roots, sk_X509_value(more, i));
}

STACK_OF(X509) * roots_make(X509 *current, const STACK_OF(X509) * earlier, struct error *error)
{
    STACK_OF(X509) *roots = sk_X509_new_null();
    bool added = roots != NULL && (current == NULL || add(roots, current) == 1);
    for (int i = 0; added && i < sk_X509_num(earlier); i++)
        if (!certificate_has_expired(sk_X509_value(earlier, i)))
            added = add(roots, sk_X509_value(earlier, i)) == 1;
    if (added)
        return roots;
    sk_X509_pop_free(roots, X509_free);
    error_set(error, 1, "out of memory");
    return NULL;
}

/* After a rotation a certificate by the CA before stands in the chain where the root would, and the
 * root is in a file. That file may be ahead of the CA's, and then the root is among those before.
 * The one that is crossed first in the chain is the CA's own; returns where, or -1, with root. */
static int find_crossed(const struct ca *ca, const STACK_OF(X509) * candidates, X509 **root)
{
    int first = INT_MAX;
    for (int i = 0; i < sk_X509_num(candidates); i++) {
        X509 *candidate = sk_X509_value(candidates, i);
        int at = chain_crossed_at(ca->certificates, candidate);
        if (at < 0 || at >= first || !certificate_is_self_signed(candidate))
            continue;
        first = at;
        *root = candidate;
    }
    return first < INT_MAX ? first : -1;
}

/* The CA as clients see it that trust its own root; what is in seen stays the others'. */
static int see(struct ca *seen, const struct ca *ca, const STACK_OF(X509) * candidates,
               struct error *error)
{
    X509 *root = NULL;
    int at = find_crossed(ca, candidates, &root);
    int count = at >= 0 ? at : sk_X509_num(ca->certificates);
    seen->key = ca->key;
    seen->certificates = sk_X509_new_null();
    if (seen->certificates == NULL)
        return error_set(error, 1, "out of memory");
    for (int i = 0; i < count; i++)
        sk_X509_push(seen->certificates, sk_X509_value(ca->certificates, i));
    if (at >= 0)
        sk_X509_push(seen->certificates, root);
    STACK_OF(X509) *sorted = chain_sort(seen->certificates);
    if (sorted != NULL) {
        sk_X509_free(seen->certificates);
        seen->certificates = sorted;
    }
    return 0;
}

/* The file of those before may be lost; what was exported together with this root replaces it. */
static STACK_OF(X509) * make_earlier(X509 *current, STACK_OF(X509) * previous,
                                     const STACK_OF(X509) * known, struct error *error)
{
    if (current != NULL && certificates_contain(known, current))
        add_all(previous, known);
    return roots_make(current, previous, error);
}

STACK_OF(X509) * roots_read(const struct confdir *confdir, const struct ca *ca,
                            const STACK_OF(X509) * known, bool must_be_good, const char *path,
                            struct error *error)
{
    STACK_OF(X509) *previous = read_certificates(confdir, PREVIOUS_FILE);
    STACK_OF(X509) *candidates = read_certificates(confdir, ROOT_FILE);
    STACK_OF(X509) *roots = NULL;
    struct ca seen = {0};
    add_all(candidates, known);
    add_all(candidates, previous);
    if (see(&seen, ca, candidates, error) == 0 &&
        (!must_be_good || ca_check(&seen, path, error) == 0))
        roots = make_earlier(ca_root(&seen), previous, known, error);
    if (roots == NULL)
        error_prefix(error, "%s", path);
    sk_X509_free(seen.certificates);
    sk_X509_pop_free(candidates, X509_free);
    sk_X509_pop_free(previous, X509_free);
    return roots;
}

static int write_certificates(const struct confdir *confdir, const char *name,
                              const STACK_OF(X509) * certificates, struct error *error)
{
    size_t size;
    char *pem = certificates_to_pem(certificates, &size, error);
    if (pem == NULL)
        return -1;
    int result = confdir_update(confdir, name, pem, size, error);
    free(pem);
    return result;
}

/* The current one by mitmproxy's names. */
int roots_write(const struct confdir *confdir, const STACK_OF(X509) * roots, struct error *error)
{
    STACK_OF(X509) *current = sk_X509_new_null();
    STACK_OF(X509) *previous = sk_X509_dup(roots);
    sk_X509_push(current, sk_X509_shift(previous));
    int result = 0;
    if (sk_X509_num(previous) > 0)
        result = write_certificates(confdir, PREVIOUS_FILE, previous, error);
    if (result == 0)
        result = write_certificates(confdir, ROOT_FILE, current, error);
    if (result == 0)
        result = write_certificates(confdir, "mitmproxy-ca-cert.cer", current, error);
    sk_X509_free(current);
    sk_X509_free(previous);
    return result;
}
