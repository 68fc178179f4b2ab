#include "setup/ca/ca_vouch.h"

#include "common/log.h"
#include "setup/ca/ca_check.h"
#include "setup/ca/ca_rotate.h"
#include "setup/ca/ca_trial.h"

/* What is issued below an old intermediate CA ends with that. */
static void warn_of_end(const struct ca *new_ca, X509 *new_root, X509 *old_root, const char *path)
{
    char text[32];
    int at = chain_crossed_at(new_ca->certificates, new_root);
    X509 *cross = sk_X509_value(new_ca->certificates, at);
    if (cross == NULL || !certificate_ends_before(cross, new_root) ||
        !certificate_ends_before(cross, old_root))
        return;
    time_to_text(X509_get0_notAfter(cross), text);
    log_warn("%s: clients that trust only the root before will accept the new CA until %s, when "
             "the old CA ends",
             path, text);
}

/* 1 if clients of the old root accept the new CA then, 0 with the reason in error, -1 with error.
 */
static int vouch(struct ca *new_ca, const struct ca *old_ca, X509 *old_root, const char *path,
                 struct error *error)
{
    X509 *new_root = ca_root(new_ca);
    if (certificates_are_of_one_ca(old_root, new_root)) {
        if (ca_keep_cross(new_ca, old_ca, error) != 0)
            return -1;
        return ca_try(new_ca, old_root, error);
    }
    /* It may bring along what leads to the old root. */
    if (ca_try(new_ca, old_root, error) == 1)
        return 1;
    X509_up_ref(new_root); /* its place in the chain may be another's then */
    int crossed = ca_cross_sign(new_ca, old_ca, old_root, error);
    if (crossed == 1)
        warn_of_end(new_ca, new_root, old_root, path);
    X509_free(new_root);
    return crossed;
}

int ca_warn_of_lost(const struct ca *ca, const struct ca *before, const STACK_OF(X509) * roots,
                    const char *path, struct error *error)
{
    struct error ignored;
    char sha256[65];
    for (int i = 1; i < sk_X509_num(roots); i++) {
        X509 *root = sk_X509_value(roots, i);
        int accepted = ca_try(ca, root, error);
        if (accepted < 0)
            return -1;
        if (accepted == 1 || (before != NULL && ca_try(before, root, &ignored) != 1))
            continue;
        certificate_sha256(root, sha256);
        log_warn("%s: clients that trust only the earlier root %.16s... will not accept the CA: %s",
                 path, sha256, error->text);
    }
    return 0;
}

int ca_vouch(struct ca *new_ca, const struct ca *old_ca, const STACK_OF(X509) * old_roots,
             const char *path, struct error *error)
{
    X509 *old_root = sk_X509_value(old_roots, 0);
    int crossed = 0;
    if (old_root == NULL)
        error_set(error, EX_CONFIG, "the old CA has no root");
    else
        crossed = vouch(new_ca, old_ca, old_root, path, error);
    if (crossed == 0)
        log_warn("%s: clients that trust only the root before will not accept the new CA: %s", path,
                 error->text);
    return crossed < 0 ? -1 : ca_warn_of_lost(new_ca, old_ca, old_roots, path, error);
}
