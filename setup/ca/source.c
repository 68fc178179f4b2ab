#include "setup/ca/source.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/files/files.h"
#include "setup/ca/check.h"

/* One file of the directory: its text, NULL if it is not there. */
struct part {
    char path[PATH_MAX];
    char *text;
    size_t size;
};

/* MITMPROXY_CA_DIR, as the files in it that setup has opened. */
struct source {
    const struct config *config;
    const int *handed;
};

static int part_read(const struct source *source, enum handed_over name, struct part *part,
                     struct error *error)
{
    struct stat st;
    int fd = source->handed[name];
    snprintf(part->path, sizeof(part->path), "%.4000s/%s", source->config->ca_dir,
             handed_over_names[name]);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return error_set(error, EX_CONFIG, "%s: %s", part->path, strerror(-fd));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        error_set(error, EX_CONFIG, "%s: not a regular file", part->path);
    else if (st.st_size > CA_FILE_MAX_BYTES)
        error_set(error, EX_CONFIG, "%s: %jd bytes, expected at most %d", part->path,
                  (intmax_t)st.st_size, CA_FILE_MAX_BYTES);
    else
        part->text = file_read_open(fd, CA_FILE_MAX_BYTES, part->path, &part->size, error);
    return part->text != NULL ? 1 : -1;
}

static void part_free(struct part *part)
{
    ca_file_release(part->text, part->size);
    part->text = NULL;
}

/* Parses both files. An error names the file that it is in. */
static int parse_pair(const struct part *key, const struct part *certificates, struct ca *ca,
                      struct error *error)
{
    if (ca_parse_certificates(certificates->text, certificates->size, ca, error) != 0)
        return error_prefix(error, "%s", certificates->path);
    if (ca_parse_key(key->text, key->size, ca, error) != 0 || ca_check_key(ca, error) != 0)
        return error_prefix(error, "%s", key->path);
    return 0;
}

/* The certificates in ca.crt, none if it is not there. The caller frees them; NULL with error. */
static STACK_OF(X509) * read_more(const struct source *source, struct error *error)
{
    struct part part = {0};
    int there = part_read(source, SOURCE_ROOT, &part, error);
    if (there < 0)
        return NULL;
    STACK_OF(X509) *more =
        there == 0 ? sk_X509_new_null() : certificates_from_pem(part.text, part.size, error);
    if (more == NULL)
        error_prefix(error, "%s", part.path);
    part_free(&part);
    return more;
}

/* Keeps the roots that are not part of the chain, such as that of the CA before this one. */
static void keep_other_roots(struct ca *ca, STACK_OF(X509) * more)
{
    for (int i = sk_X509_num(more) - 1; i >= 0; i--) {
        X509 *certificate = sk_X509_value(more, i);
        if (!certificate_is_self_signed(certificate) || X509_check_ca(certificate) == 0 ||
            certificates_contain(ca->certificates, certificate))
            X509_free(sk_X509_delete(more, i));
    }
    ca->other_roots = more;
}

/* Completes the chain from ca.crt: cert-manager has the root there, not in tls.crt. */
static int complete(const struct source *source, struct ca *ca, struct error *error)
{
    STACK_OF(X509) *more = read_more(source, error);
    if (more == NULL)
        return -1;
    if (!ca_sort_chain(ca) || certificate_has_expired(ca_root(ca))) {
        X509_add_certs(ca->certificates, more, X509_ADD_FLAG_UP_REF);
        ca_sort_chain(ca);
    }
    keep_other_roots(ca, more);
    return 0;
}

static int read_pair(const struct source *source, struct part *key, struct part *certificates,
                     struct ca *ca, struct error *error)
{
    int there = part_read(source, SOURCE_CERTIFICATES, certificates, error);
    if (there <= 0)
        return there;
    there = part_read(source, SOURCE_KEY, key, error);
    if (there == 0)
        return error_set(error, EX_CONFIG, "%s: %s", key->path, strerror(ENOENT));
    if (there < 0 || parse_pair(key, certificates, ca, error) != 0 ||
        complete(source, ca, error) != 0)
        return -1;
    if (ca_check_certificates(ca, certificates->path, error) != 0)
        return error_prefix(error, "%s", certificates->path);
    return 1;
}

static int read_single(const struct source *source, struct part *part, struct ca *ca,
                       struct error *error)
{
    int there = part_read(source, SOURCE_SINGLE, part, error);
    if (there <= 0)
        return there;
    if (ca_parse(part->text, part->size, ca, error) != 0)
        return error_prefix(error, "%s", part->path);
    if (complete(source, ca, error) != 0)
        return -1;
    return ca_check(ca, part->path, error) == 0 ? 1 : error_prefix(error, "%s", part->path);
}

int ca_source_read(const struct config *config, const int *handed, struct ca *ca,
                   struct error *error)
{
    const struct source source = {config, handed};
    struct part key = {0}, certificates = {0}, single = {0};
    memset(ca, 0, sizeof(*ca));
    if (config->ca_dir[0] == '\0')
        return 0;
    int found = read_pair(&source, &key, &certificates, ca, error);
    if (found == 0)
        found = read_single(&source, &single, ca, error);
    if (found == 0)
        found = error_set(error, EX_CONFIG,
                          CONFIG_PREFIX "MITMPROXY_CA_DIR=\"%s\": has neither tls.crt with tls.key "
                                        "nor " CA_FILE,
                          config->ca_dir);
    part_free(&key);
    part_free(&certificates);
    part_free(&single);
    if (found < 0)
        ca_free(ca);
    return found;
}
