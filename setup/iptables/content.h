#ifndef SETUP_IPTABLES_CONTENT_H
#define SETUP_IPTABLES_CONTENT_H

#include "setup/iptables/live.h"

/* Our part of a legacy table, changed in libiptc's copy of it: nothing reaches the kernel before
 * the commit. Functions return 0, or -1 with errno. */

/* Makes our chain hold the list's rules, with one jump to it, from position 1 of the hook. */
int content_write(const struct live *live);

/* Removes chain and jumps. */
int content_delete(const struct live *live);

/* Copies what is ours in the table. Freed with table_snapshot_free; NULL when memory is out. */
struct table_snapshot;
struct table_snapshot *content_save(const struct live *live);
void table_snapshot_free(struct table_snapshot *snapshot);

bool content_had_chain(const struct table_snapshot *snapshot);

/* Puts back what the snapshot has. */
int content_restore(const struct live *live, const struct table_snapshot *earlier);

#endif
