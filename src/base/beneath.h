/* base/beneath.h - what a path names that comes from somebody nobody trusts, and may not lead
 * out of a directory. The kernel resolves it (openat2, RESOLVE_BENEATH): no string is ever
 * compared to decide whether one leads out. A call that cannot take a descriptor opens the
 * parent this way and then names one component, without a slash, never followed.
 */
#ifndef BRIG_BASE_BENEATH_H
#define BRIG_BASE_BENEATH_H

#include <stdbool.h>

/* Open with open(2)'s flags, beneath the directory; -1 for one in which there is nothing. A
 * descriptor, or -errno, where -EPERM also means "leads out". Never blocks; new files get mode
 * 0600. */
int brig__beneath_open(int directory, const char *path, int flags);

struct beneath_leaf {
  int parent; /* a descriptor (O_PATH), */
  bool lent;  /* which may be the directory's own */
  bool slash; /* a slash followed: it must be a directory */
  bool dots;  /* it is "." or ".." (and does not lead out) */
  char name[256];
};

/* The parent, opened, and the last component. 0 or -errno. */
int brig__beneath_leaf(int directory, const char *path, struct beneath_leaf *ret_leaf);
void brig__beneath_leaf_close(struct beneath_leaf *leaf);
#define CLEANUP_LEAF __attribute__((cleanup(brig__beneath_leaf_close)))

#endif
