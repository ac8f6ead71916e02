#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

int brig__write_all(int fd, const void *data, size_t size) {
  const char *at = data;
  while (size > 0) {
    ssize_t done = write(fd, at, size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -errno;
    at += done;
    size -= (size_t)done;
  }
  return 0;
}

ssize_t brig__read_all(int fd, void *data, size_t size) {
  char *at = data;
  size_t got = 0;
  while (got < size) {
    ssize_t done = read(fd, at + got, size - got);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -errno;
    if (done == 0) break;
    got += (size_t)done;
  }
  return (ssize_t)got;
}

int brig__read_file(int dir_fd, const char *path, size_t max, char **ret_data, size_t *ret_size) {
  /* O_NONBLOCK: a FIFO must not hold us up before fstat can refuse it. */
  CLEANUP_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -errno;
  struct stat st;
  if (fstat(fd, &st) < 0) return -errno;
  if (S_ISDIR(st.st_mode)) return -EISDIR;
  if (!S_ISREG(st.st_mode)) return -EINVAL;
  if (st.st_size < 0 || (uintmax_t)st.st_size > max) return -EFBIG;
  size_t size = (size_t)st.st_size;
  CLEANUP_FREE char *data = malloc(size + 1);
  if (data == NULL) return -ENOMEM;
  ssize_t got = brig__read_all(fd, data, size);
  if (got < 0) return (int)got;
  data[got] = '\0';
  *ret_size = (size_t)got;
  *ret_data = STEAL_PTR(data);
  return 0;
}

int brig__seal(int fd) {
  int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int brig__memfd(const char *name) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = memfd_create(name, flags | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name, flags); /* before Linux 6.3 */
  return fd < 0 ? -errno : fd;
}

int brig__sealed_memfd(const char *name, const void *data, size_t size) {
  CLEANUP_FD int fd = brig__memfd(name);
  if (fd < 0) return fd;
  int rc = brig__write_all(fd, data, size);
  if (rc == 0) rc = brig__seal(fd);
  if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0) rc = -errno;
  return rc < 0 ? rc : STEAL_FD(fd);
}

int brig__mkdir_p(const char *path) {
  CLEANUP_FREE char *copy = strdup(path);
  if (copy == NULL) return -ENOMEM;
  for (char *slash = copy + 1;; slash++) {
    if (*slash != '/' && *slash != '\0') continue;
    char end = *slash;
    *slash = '\0';
    if (mkdir(copy, 0700) < 0 && errno != EEXIST) return -errno;
    if (end == '\0') return 0;
    *slash = end;
  }
}

char *brig__format(const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int rc = vasprintf(&text, format, args);
  va_end(args);
  return rc < 0 ? NULL : text;
}

static bool removed(int parent, const char *name) {
  return unlinkat(parent, name, 0) == 0 || unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

DIR *brig__open_directory(int parent, const char *name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  int cause = errno;
  if (directory == NULL && fd >= 0) close(fd);
  errno = cause;
  return directory;
}

const char *brig__next_name(DIR *directory) {
  struct dirent *item = readdir(directory);
  while (item != NULL && (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0))
    item = readdir(directory);
  return item == NULL ? NULL : item->d_name;
}

/* What is in a directory of `top` is removed, or moves up. Returns whether anything was done. */
static bool lift(int top, const char *name, unsigned *moved) {
  DIR *directory = brig__open_directory(top, name);
  bool done = false;
  for (const char *below; directory != NULL && (below = brig__next_name(directory)) != NULL;) {
    char fresh[32];
    if (removed(dirfd(directory), below)) {
      done = true;
      continue;
    }
    do snprintf(fresh, sizeof fresh, "brig-removes-%u", (*moved)++);
    while (faccessat(top, fresh, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    if (renameat(dirfd(directory), below, top, fresh) == 0) done = true;
  }
  if (directory != NULL) closedir(directory);
  return removed(top, name) || done;
}

/* Whoever made it may have made it as deep as there is room, so nothing here goes down with
 * it: each directory moves up once, and is emptied there. */
void brig__remove_tree(int parent, const char *name) {
  unsigned moved = 0;
  bool done = true;
  while (!removed(parent, name) && done) {
    DIR *top = brig__open_directory(parent, name);
    done = false;
    for (const char *below; top != NULL && (below = brig__next_name(top)) != NULL;)
      if (removed(dirfd(top), below) || lift(dirfd(top), below, &moved)) done = true;
    if (top != NULL) closedir(top);
  }
}
