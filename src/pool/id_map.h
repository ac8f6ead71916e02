/* pool/id_map.h - so that workers, who are not root, may use directories that
 * root owns: an ID-mapped mount shows them root's files as their own
 * (mount_setattr(2)). Only where Brig is started by root. */
#ifndef BRIG_POOL_ID_MAP_H
#define BRIG_POOL_ID_MAP_H

#include <stdbool.h>
#include <sys/types.h>

/* In the launcher, while root: a user namespace that maps root's files to `uid`;
 * a descriptor, or -1 where there can be none (nothing is lost but this). */
int brig__id_map_create(uid_t uid);

/* In the host: a copy of the mount that `dir_fd` is in, from that directory down,
 * mapped and, unless `read_write`, read-only for everybody. A descriptor or
 * -errno (EPERM: not privileged, EINVAL: the file system cannot). */
int brig__id_map_mount(int dir_fd, int id_map_fd, bool read_write);

#endif
