#include "setup/status.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/files.h"
#include "common/state.h"
#include "setup/ca.h"
#include "setup/export.h"
#include "setup/redirect.h"

static void print_configuration(const struct config *config)
{
    printf("configuration\n");
    printf("  transparent  %s\n", config->transparent ? "on" : "off");
    printf("  proxy        127.0.0.1:%u as %s (uid %u, gid %u)\n", config->port, config->user.name,
           config->user.uid, config->user.gid);
    printf("  mitmdump     %s\n", config->bin);
    printf("  confdir      %s\n", config->confdir);
    printf("  export       %s\n", config->export_dir);
    printf("  health       port %u\n", config->http.port);
}

static void print_certificate(X509 *certificate, const char *sha256)
{
    char subject[256];
    char until[32] = "?";
    struct tm utc;
    X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof(subject));
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc) == 1)
        strftime(until, sizeof(until), "%Y-%m-%d %H:%M:%S UTC", &utc);
    printf("  subject      %s\n  sha256       %s\n  valid until  %s\n", subject, sha256, until);
}

/* Prints the exported certificate. Returns how many things are wrong with it. */
static int print_ca(const struct config *config, const struct state *state)
{
    const struct file_limits limits = {.max_size = 256 * 1024, .owner = 0};
    struct error error;
    char sha256[STATE_SHA256_SIZE];
    char *pem = NULL;
    size_t size;
    printf("CA\n");
    int directory = directory_open(config->export_dir, &error);
    if (directory >= 0) {
        pem = file_read(directory, EXPORT_CERTIFICATE, &limits, EXPORT_CERTIFICATE, &size, &error);
        close(directory);
    }
    X509 *certificate = pem != NULL ? certificate_from_pem(pem, size) : NULL;
    free(pem);
    if (certificate == NULL) {
        printf("  NOT exported: %s\n", pem == NULL ? error.text : "not a certificate");
        return 1;
    }
    certificate_sha256(certificate, sha256);
    print_certificate(certificate, sha256);
    int wrong = X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
    if (wrong)
        printf("  EXPIRED\n");
    X509_free(certificate);
    if (strcmp(sha256, state->ca_sha256) == 0)
        return wrong;
    printf("  DIFFERS from the one that setup wrote down: %s\n", state->ca_sha256);
    return wrong + 1;
}

static int print_rules(const struct config *config)
{
    struct error error;
    printf("rules\n");
    int differences = redirect_compare(config, stdout, &error);
    if (differences >= 0)
        return differences;
    printf("  UNKNOWN: %s\n", error.text);
    return 1;
}

/* The file is read by the caller; readable says whether it could be. */
static int print_state(const struct config *config, const struct state *state, bool readable,
                       const struct error *error)
{
    struct error stale;
    printf("state (%s)\n", config->state_file);
    if (!readable) {
        printf("  NOT there: %s\n", error->text);
        return 1;
    }
    printf("  setup        %s %s\n", setup_state_name(state->setup), state->setup_error);
    printf("  mitmdump     %s, pid %u, restarts %u %s\n", mitm_state_name(state->mitm),
           state->mitm_pid, state->mitm_restarts, state->mitm_error);
    if (state_check_current(state, &stale) != 0) {
        printf("  STALE: %s\n", stale.text);
        return 1;
    }
    return state->setup != SETUP_READY;
}

int status_print(const struct config *config)
{
    struct state state;
    struct error error = {0};
    bool readable = state_read(config->state_file, config->user.uid, &state, &error) == 0;
    print_configuration(config);
    if (!config->transparent)
        return 0;
    int wrong = print_ca(config, &state);
    wrong += print_rules(config);
    wrong += print_state(config, &state, readable, &error);
    printf(wrong == 0 ? "all is as it should be\n" : "NOT as it should be\n");
    return wrong == 0 ? 0 : 1;
}
