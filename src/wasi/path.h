/* wasi/path.h - from a guest's path to what it names. The kernel resolves every
 * path (openat2, RESOLVE_BENEATH): no string is ever compared to decide whether
 * one leads out. A call that cannot take a descriptor opens the parent this way
 * and then names one component, without a slash, never followed.
 */
#ifndef BRIG_WASI_PATH_H
#define BRIG_WASI_PATH_H

#include "wasi/fd_table.h"
#include "wasi/guest_mem.h"

/* Open with open(2)'s flags, beneath the directory. A descriptor, or -errno,
 * where -EPERM also means "leads out". Never blocks; new files get mode 0600. */
int brig__path_open(const struct fd_entry *directory, const char *path, int flags);

/* A descriptor (O_PATH) of what the path names, for fstat and its kin. */
int brig__path_locate(const struct fd_entry *directory, const char *path, bool follow);

struct path_leaf {
  int parent; /* a descriptor, */
  bool lent;  /* which may be the directory's own */
  bool slash; /* a slash followed: it must be a directory */
  bool dots;  /* it is "." or ".." (and does not lead out) */
  char name[256];
};

/* The parent, opened, and the last component. 0 or -errno. */
int brig__path_leaf(const struct fd_entry *directory, const char *path, struct path_leaf *ret_leaf);
void brig__path_leaf_close(struct path_leaf *leaf);
#define CLEANUP_LEAF __attribute__((cleanup(brig__path_leaf_close)))

#endif
