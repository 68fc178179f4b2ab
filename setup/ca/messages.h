#ifndef SETUP_CA_MESSAGES_H
#define SETUP_CA_MESSAGES_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/mitmdump/ca_file.h"
#include "common/state/state.h"
#include "setup/ca/record.h"

/* The messages between setup and setup-ca, which it executes. Both read their configuration from
 * the environment; setup has checked it. */

/* The first argument: do the work in the confdir, as the mitmproxy user; export the roots; or print
 * what is exported (status 1 if it is wrong). The last two run without capabilities. */
#define CA_COMMAND_CONFDIR "confdir"
#define CA_COMMAND_EXPORT "export"
#define CA_COMMAND_STATUS "status"

/* Further arguments are NAME=DESCRIPTOR for files that setup has opened and not read, or
 * NAME=-ERRNO where it could not open one. */
enum handed_over {
    SOURCE_CERTIFICATES, /* this and the next three are in MITMPROXY_CA_DIR */
    SOURCE_KEY,
    SOURCE_SINGLE, /* key and certificates in one file, as mitmproxy has it */
    SOURCE_ROOT,   /* the root if the chain lacks it, and further ones */
    CONFDIR_CA,    /* the CA's file in the confdir, if root owns it */
    EXPORTED_ROOTS,
    EXPORT_DIRECTORY,
    HANDED_OVER_COUNT
};
static const char *const handed_over_names[HANDED_OVER_COUNT] = {
    "tls.crt", "tls.key", CA_FILE, "ca.crt", ("confdir/" CA_FILE), "exported-roots", "export"};

/* For the command "status": the fingerprint that setup wrote down. */
#define CA_ARGUMENT_SHA256 "sha256="

/* In all answers, an error with status 0 means that there was none. */

/* The first answer of "confdir", before it changes anything. Then setup writes one byte to let it
 * go on. */
struct ca_judgement {
    struct error error;        /* what is wrong with what was handed over */
    bool confdir_ca_is_usable; /* is CONFDIR_CA there, and fit to be given to the mitmproxy user? */
};

/* The second answer of "confdir". After it come the roots that clients have to trust, as PEM: the
 * CA's, then further ones of MITMPROXY_CA_DIR. (The key never leaves setup-ca.) */
struct ca_prepared {
    struct error error;
    struct ca_record record;
};

/* The answer of "export", which reads those roots from its standard input. */
struct ca_exported {
    struct error error;
    char sha256[STATE_SHA256_SIZE]; /* of the current root */
};

#endif
