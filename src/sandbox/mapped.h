/* sandbox/mapped.h - directories of root's, as workers who are not root are given them: each
 * a mount of its own, with an ID map (mount_setattr(2)).
 *
 * Closing the last descriptor of a mount waits for all processors, so that of a directory which
 * is asked for again within some seconds is kept for as long. For no longer: what the mount that
 * it was made from allows may change, and a file system that is still mounted cannot be let go of.
 *
 * Threads: any.
 */
#ifndef BRIG_SANDBOX_MAPPED_H
#define BRIG_SANDBOX_MAPPED_H

#include <stdbool.h>

struct mapped;

/* `id_map`, or -1, stays the caller's. NULL for want of memory. */
struct mapped *brig__mapped_new(int id_map);
void brig__mapped_free(struct mapped *mapped); /* accepts NULL */

/* Takes over `fd`, an O_PATH descriptor of a directory, and returns one of the same that
 * workers can use as they are to: `fd` itself where it needs no map, or can have none. */
int brig__mapped_directory(struct mapped *mapped, int fd, bool read_write);

#endif
