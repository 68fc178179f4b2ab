#include "setup/ca/ca_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "setup/ca/ca_chain.h"
#include "setup/ca/ca_check.h"
#include "setup/ca/ca_store.h"
#include "setup/sources.h"

/* One file of the directory: its text, "" if it is not there. */
struct part {
    char path[PATH_MAX];
    char *text;
    size_t size;
};

/* The directory is the administrator's and read-only. Its links are followed: kubelet makes each
 * file a link through "..data". */
static int part_read(const struct config *config, const char *name, struct part *part,
                     struct error *error)
{
    struct stat st;
    snprintf(part->path, sizeof(part->path), "%.4000s/%s", config->ca_dir, name);
    int fd = open(part->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return error_set(error, EX_CONFIG, "%s: %s", part->path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        error_set(error, EX_CONFIG, "%s: not a regular file", part->path);
    else if (st.st_size > CA_FILE_MAX_BYTES)
        error_set(error, EX_CONFIG, "%s: %jd bytes, expected at most %d", part->path,
                  (intmax_t)st.st_size, CA_FILE_MAX_BYTES);
    else
        part->text = file_read_open(fd, CA_FILE_MAX_BYTES, part->path, &part->size, error);
    close(fd);
    return part->text != NULL ? 1 : -1;
}

static void part_free(struct part *part)
{
    ca_file_release(part->text, part->size);
    part->text = NULL;
}

/* What is wrong is said of the file that it is in. */
static int parse_pair(const struct part *key, const struct part *certificates, struct ca *ca,
                      struct error *error)
{
    if (ca_parse_certificates(certificates->text, certificates->size, ca, error) != 0)
        return error_prefix(error, "%s", certificates->path);
    if (ca_parse_key(key->text, key->size, ca, error) != 0 || ca_check_key(ca, error) != 0)
        return error_prefix(error, "%s", key->path);
    return 0;
}

/* cert-manager keeps the root in ca.crt, which tls.crt does not repeat. */
static int add_root(const struct config *config, struct ca *ca, struct error *error)
{
    struct part part = {0};
    int there = part_read(config, SOURCE_ROOT, &part, error);
    if (there <= 0)
        return there;
    STACK_OF(X509) *more = certificates_from_pem(part.text, part.size, error);
    if (more == NULL) {
        error_prefix(error, "%s", part.path);
        part_free(&part);
        return -1;
    }
    while (sk_X509_num(more) > 0)
        sk_X509_push(ca->certificates, sk_X509_shift(more));
    sk_X509_free(more);
    part_free(&part);
    return 0;
}

static int read_pair(const struct config *config, struct part *key, struct part *certificates,
                     struct ca *ca, struct error *error)
{
    int there = part_read(config, SOURCE_CERTIFICATES, certificates, error);
    if (there <= 0)
        return there;
    there = part_read(config, SOURCE_KEY, key, error);
    if (there == 0)
        return error_set(error, EX_CONFIG, "%s: %s", key->path, strerror(ENOENT));
    if (there < 0 || parse_pair(key, certificates, ca, error) != 0)
        return -1;
    if (!ca_sort_chain(ca) || certificate_has_expired(ca_root(ca))) {
        if (add_root(config, ca, error) != 0)
            return -1;
        ca_sort_chain(ca);
    }
    if (ca_check_certificates(ca, certificates->path, error) != 0)
        return error_prefix(error, "%s", certificates->path);
    return 1;
}

static int read_single(const struct config *config, struct part *part, struct ca *ca,
                       struct error *error)
{
    int there = part_read(config, CA_FILE, part, error);
    if (there <= 0)
        return there;
    if (ca_parse(part->text, part->size, ca, error) != 0)
        return error_prefix(error, "%s", part->path);
    ca_sort_chain(ca);
    return ca_check(ca, part->path, error) == 0 ? 1 : error_prefix(error, "%s", part->path);
}

/* Else each file in it would be missing, which says less. */
static int check_directory(const struct config *config, struct error *error)
{
    int fd = open(config->ca_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, EX_CONFIG, CONFIG_PREFIX "MITMPROXY_CA_DIR=\"%s\": %s",
                         config->ca_dir, strerror(errno));
    close(fd);
    return 0;
}

int ca_source_read(const struct config *config, struct ca *ca, struct error *error)
{
    struct part key = {0}, certificates = {0}, single = {0};
    memset(ca, 0, sizeof(*ca));
    if (config->ca_dir[0] == '\0')
        return 0;
    if (check_directory(config, error) != 0)
        return -1;
    int found = read_pair(config, &key, &certificates, ca, error);
    if (found == 0)
        found = read_single(config, &single, ca, error);
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
