#ifndef SETUP_CA_CA_CHAIN_H
#define SETUP_CA_CA_CHAIN_H

#include <stdbool.h>

#include "setup/ca/ca.h"

/* The certificates of a chain in the order in which each was issued by the next, from the first one
 * to its root, without those that are no part of that. They belong to the given stack; the new one
 * is freed with sk_X509_free. NULL if the first one leads to no root, or memory is out. */
STACK_OF(X509) * chain_sort(const STACK_OF(X509) * certificates);

/* The same for the certificates of a CA, where they lead to a root: false if not. */
bool ca_sort_chain(struct ca *ca);

#endif
