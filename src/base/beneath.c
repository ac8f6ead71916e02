#include "base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel gives up (EAGAIN) where a rename elsewhere races with "..". */
#define RACES 32

int brig__beneath_open(int directory, const char *path, int flags) {
  /* RESOLVE_NO_XDEV: what is mounted inside the directory was not granted. */
  struct open_how how = {
      .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC) |
               (flags & O_PATH ? 0 : (uint64_t)(O_NOCTTY | O_NONBLOCK)),
      .mode = flags & O_CREAT ? 0600 : 0,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
  };
  long fd = -1;
  if (path[0] == '/') return -EPERM;
  if (directory < 0) return -ENOENT;
  for (int tries = 0; tries < RACES; tries++) {
    fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  if (fd >= 0) return (int)fd;
  return errno == EXDEV ? -EPERM : -errno;
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* "." and ".." name what other names name too; only that they exist, and inside,
 * is learnt here. */
static int check_dots(int directory, const char *path) {
  int fd = brig__beneath_open(directory, path, O_PATH | O_DIRECTORY);
  if (fd < 0) return fd;
  close(fd);
  return 0;
}

static int open_parent(int directory, const char *path, size_t length, struct beneath_leaf *leaf) {
  char parent[PATH_MAX];
  leaf->lent = length == 0;
  leaf->parent = directory;
  if (leaf->lent) return 0;
  leaf->parent = -1;
  if (length >= sizeof parent) return -ENAMETOOLONG;
  memcpy(parent, path, length);
  parent[length] = '\0';
  leaf->parent = brig__beneath_open(directory, parent, O_PATH | O_DIRECTORY);
  return leaf->parent < 0 ? leaf->parent : 0;
}

int brig__beneath_leaf(int directory, const char *path, struct beneath_leaf *ret_leaf) {
  *ret_leaf = (struct beneath_leaf){.parent = -1};
  size_t end = strlen(path);
  if (end == 0) return -ENOENT;
  if (path[0] == '/') return -EPERM;
  if (directory < 0) return -ENOENT;
  while (path[end - 1] == '/') end--;
  ret_leaf->slash = path[end] == '/';
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') start--;
  if (end - start >= sizeof ret_leaf->name) return -ENAMETOOLONG;
  memcpy(ret_leaf->name, path + start, end - start);
  ret_leaf->dots = is_dots(ret_leaf->name);
  if (ret_leaf->dots) return check_dots(directory, path);
  return open_parent(directory, path, start, ret_leaf);
}

void brig__beneath_leaf_close(struct beneath_leaf *leaf) {
  if (!leaf->lent && leaf->parent >= 0) close(leaf->parent);
  leaf->parent = -1;
}
