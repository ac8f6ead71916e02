/* wasi/path.h - from a guest's path to what it names: base/beneath.h, for the directories
 * that a guest has. A placeholder is as if empty. */
#ifndef BRIG_WASI_PATH_H
#define BRIG_WASI_PATH_H

#include "base/beneath.h"
#include "wasi/fd_table.h"

static inline int brig__path_open(const struct fd_entry *directory, const char *path, int flags) {
  return brig__beneath_open(directory->host, path, flags);
}

/* A descriptor (O_PATH) of what the path names, for fstat and its kin. */
int brig__path_locate(const struct fd_entry *directory, const char *path, bool follow);

static inline int brig__path_leaf(const struct fd_entry *directory, const char *path,
                                  struct beneath_leaf *ret_leaf) {
  return brig__beneath_leaf(directory->host, path, ret_leaf);
}

#endif
