#ifndef SETUP_CA_MESSAGES_H
#define SETUP_CA_MESSAGES_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/mitmdump/ca_file.h"
#include "common/state/state.h"
#include "setup/ca/record.h"

/* What setup and setup-ca, which it executes, tell each other. In setup-ca the configuration is in
 * the environment, as in setup, which has checked it. */

/* The first argument: do the work in the confdir, as the mitmproxy user; export the roots, or print
 * what is exported (status 1 if it is wrong), without capabilities. */
#define CA_COMMAND_CONFDIR "confdir"
#define CA_COMMAND_EXPORT "export"
#define CA_COMMAND_STATUS "status"

/* Further arguments are NAME=DESCRIPTOR: files that setup has opened and not read, or NAME=-ERRNO
 * where that did not work. */
enum handed_over {
    SOURCE_CERTIFICATES, /* of MITMPROXY_CA_DIR: a Kubernetes TLS Secret, ... */
    SOURCE_KEY,
    SOURCE_SINGLE, /* ... or a file as mitmproxy has it, ... */
    SOURCE_ROOT,   /* ... with the root that it lacks, and further ones */
    CONFDIR_CA,    /* the confdir's, if root has put it there */
    EXPORTED_ROOTS,
    EXPORT_DIRECTORY,
    HANDED_OVER_COUNT
};
static const char *const handed_over_names[HANDED_OVER_COUNT] = {
    "tls.crt", "tls.key", CA_FILE, "ca.crt", ("confdir/" CA_FILE), "exported-roots", "export"};

/* For the command "status": the fingerprint that setup wrote down. */
#define CA_ARGUMENT_SHA256 "sha256="

/* An error with status 0 is none, everywhere here. */

/* The first answer of "confdir", before it touches anything; behind it setup writes one byte to let
 * it go on. */
struct ca_judgement {
    struct error error;        /* what is wrong with what was handed over */
    bool confdir_ca_is_usable; /* is CONFDIR_CA there, and fit to be given to the mitmproxy user? */
};

/* The second one. The roots that clients have to trust follow as PEM up to the end: the CA's, then
 * further ones of MITMPROXY_CA_DIR. (The key stays behind.) */
struct ca_prepared {
    struct error error;
    struct ca_record record;
};

/* The answer of "export", which reads such roots up to the end of its standard input. */
struct ca_exported {
    struct error error;
    char sha256[STATE_SHA256_SIZE]; /* of the current root */
};

enum { ROOTS_MAX_BYTES = 256 * 1024 };

#endif
