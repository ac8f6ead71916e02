/* Landlock, by system call: glibc 2.36 wraps none of it. What each ABI version
 * adds is in landlock(7); the numbers here do not depend on the build machine's
 * headers. */
#include "jail/jail_internal.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/fd.h"

#define SYS_CREATE   444
#define SYS_ADD_RULE 445
#define SYS_RESTRICT 446

enum {
  FS_EXECUTE = 1 << 0,
  FS_WRITE_FILE = 1 << 1,
  FS_READ_FILE = 1 << 2,
  FS_READ_DIR = 1 << 3,
  FS_REMOVE_DIR = 1 << 4,
  FS_REMOVE_FILE = 1 << 5,
  FS_MAKE_DIR = 1 << 7,
  FS_MAKE_REG = 1 << 8,
  FS_MAKE_SYM = 1 << 12,
  FS_REFER = 1 << 13,     /* ABI 2 */
  FS_TRUNCATE = 1 << 14,  /* ABI 3 */
  FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
};
#define FS_ABI_1 ((1u << 13) - 1)

#define FS_READ_ONLY (FS_READ_FILE | FS_READ_DIR)
#define FS_READ_WRITE                                                                          \
  (FS_READ_ONLY | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | \
   FS_MAKE_SYM | FS_REFER | FS_TRUNCATE)

struct ruleset_attr {
  uint64_t handled_access_fs, handled_access_net, scoped;
};
struct path_beneath_attr {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));

int brig__jail_landlock_abi(void) {
  long abi = syscall(SYS_CREATE, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);
  return abi < 0 ? -errno : (int)abi;
}

/* Everything that this ABI can forbid is forbidden; later versions' bits would
 * be refused as unknown. */
static size_t handled(int abi, struct ruleset_attr *ret_attr) {
  uint64_t fs = FS_ABI_1;
  if (abi >= 2) fs |= FS_REFER;
  if (abi >= 3) fs |= FS_TRUNCATE;
  if (abi >= 5) fs |= FS_IOCTL_DEV;
  *ret_attr = (struct ruleset_attr){fs, abi >= 4 ? 3u : 0, abi >= 6 ? 3u : 0};
  if (abi >= 6) return sizeof *ret_attr;
  return abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static int allow_mount(int ruleset, uint64_t handled_fs, const struct jail_mount *mount) {
  struct path_beneath_attr rule = {
      .allowed_access = handled_fs & (mount->read_write ? FS_READ_WRITE : FS_READ_ONLY),
      .parent_fd = mount->fd,
  };
  long rc = syscall(SYS_ADD_RULE, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0);
  return rc < 0 ? -errno : 0;
}

int brig__jail_apply_landlock(const struct jail *jail, const struct jail_worker *worker) {
  if (jail->landlock_abi == 0) return -ENOSYS;
  struct ruleset_attr attr;
  size_t size = handled(jail->landlock_abi, &attr);
  CLEANUP_FD int ruleset = (int)syscall(SYS_CREATE, &attr, size, 0);
  if (ruleset < 0) return -errno;
  for (size_t i = 0; i < worker->mount_count; i++) {
    int rc = allow_mount(ruleset, attr.handled_access_fs, &worker->mounts[i]);
    if (rc < 0) return rc;
  }
  return syscall(SYS_RESTRICT, ruleset, 0) < 0 ? -errno : 0;
}
