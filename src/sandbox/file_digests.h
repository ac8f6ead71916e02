/* sandbox/file_digests.h - the digests of module files, remembered: reading one anew
 * takes longer than a warm execution. Any thread.
 *
 * A file counts as the same while its device, inode, size and times are. A file that
 * was changed a moment ago is not remembered: within the clock's granularity it could
 * change again and look the same.
 */
#ifndef BRIG_SANDBOX_FILE_DIGESTS_H
#define BRIG_SANDBOX_FILE_DIGESTS_H

#include "base/digest.h"

struct file_digests;

/* NULL for want of memory. */
struct file_digests *brig__file_digests_new(void);
void brig__file_digests_free(struct file_digests *digests);

/* The digest of the whole of `fd`, whose offset may move. 0 or -errno. */
int brig__file_digests_get(struct file_digests *digests, int fd, struct brig_digest *ret_digest);

#endif
