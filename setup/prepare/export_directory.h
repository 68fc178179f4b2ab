#ifndef SETUP_PREPARE_EXPORT_DIRECTORY_H
#define SETUP_PREPARE_EXPORT_DIRECTORY_H

#include "common/base/error.h"
#include "common/config/config.h"

/* The directory that applications read, which is root's. */
struct export_directory {
    int directory; /* -1: not there yet */
    int roots;     /* the file with our roots that an earlier run exported, or -1 */
};

/* Opens what is there. Changes nothing. The caller closes it. */
void export_directory_look(struct export_directory *directory, const struct config *config);

/* Makes the directory if it is missing, and sets its owner and mode. 0, or -1 with error. */
int export_directory_claim(struct export_directory *directory, const struct config *config,
                           struct error *error);

void export_directory_close(struct export_directory *directory);

#endif
