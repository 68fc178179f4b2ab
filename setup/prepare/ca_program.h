#ifndef SETUP_PREPARE_CA_PROGRAM_H
#define SETUP_PREPARE_CA_PROGRAM_H

#include "common/base/error.h"
#include "common/config/config.h"
#include "common/state/state.h"
#include "setup/process/program.h"

/* setup-ca (setup/ca/main.c), as setup executes it. */

/* Starts the work in the confdir as the mitmproxy user. It has a deadline, because that user can
 * stop it at any moment. handed are the files of setup/ca/messages.h. 0, or -1 with error. The
 * caller ends it with program_end. */
int ca_program_start_confdir(const struct config *config, const int *handed,
                             struct program *program, struct error *error);

/* Starts the export into an open directory, without capabilities. As above. */
int ca_program_start_export(int directory, struct program *program, struct error *error);

/* Prints what is exported; sha256 is the fingerprint of the current root that setup wrote down.
 * Returns 0 if all is as it should be, 1 if not, or -1 with error. */
int ca_program_print_status(const char *sha256, struct error *error);

#endif
