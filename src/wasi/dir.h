/* wasi/dir.h - listing directories, for wasi/ alone. */
#ifndef BRIG_WASI_DIR_H
#define BRIG_WASI_DIR_H

#include "wasi/fd_table.h"

/* A descriptor of the directory that can be read, not O_PATH; the entry's own.
 * Opened when first asked for. Or -errno. */
int brig__dir_listing(struct fd_entry *entry);

/* Close that descriptor and drop what was read ahead. */
void brig__dir_forget(struct fd_entry *entry);

#endif
