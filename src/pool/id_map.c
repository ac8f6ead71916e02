#include "pool/id_map.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"

static int write_map(pid_t pid, const char *name, uid_t uid) {
  char path[64], map[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  snprintf(map, sizeof map, "0 %u 1", uid);
  CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
  return fd < 0 ? -errno : brig__write_all(fd, map, strlen(map));
}

/* The namespace is a child's, which waits for us at the pipe and then goes: the
 * descriptor keeps the namespace. */
static int child_namespace(pid_t child, int ready_fd, uid_t uid) {
  char path[64], byte;
  if (brig__read_all(ready_fd, &byte, 1) != 1) return -EPERM;
  int rc = write_map(child, "uid_map", uid);
  if (rc == 0) rc = write_map(child, "gid_map", uid);
  if (rc < 0) return rc;
  snprintf(path, sizeof path, "/proc/%d/ns/user", child);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int brig__id_map_create(uid_t uid) {
  int ready[2];
  if (geteuid() != 0 || pipe2(ready, O_CLOEXEC) < 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWUSER) == 0 && write(ready[1], "r", 1) == 1) pause();
    _exit(1);
  }
  close(ready[1]);
  int fd = child < 0 ? -1 : child_namespace(child, ready[0], uid);
  close(ready[0]);
  if (child > 0) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
  }
  return fd < 0 ? -1 : fd;
}

int brig__id_map_mount(int dir_fd, int id_map_fd, bool read_write) {
  struct mount_attr attr = {
      .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                  (read_write ? 0u : MOUNT_ATTR_RDONLY),
      .userns_fd = (unsigned)id_map_fd,
  };
  CLEANUP_FD int fd =
      (int)syscall(SYS_open_tree, dir_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) return -errno;
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) return -errno;
  return STEAL_FD(fd);
}
