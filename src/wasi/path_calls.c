/* The path calls, but for path_open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/fd.h"
#include "wasi/context.h"
#include "wasi/path.h"

/* A directory with these rights, and a path in it. */
static wasi_errno get_directory(struct wasi *wasi, uint32_t fd, wasi_rights rights, bool changes,
                                struct fd_entry **ret_directory) {
  TRY(brig__fd_get(&wasi->fds, fd, 0, ret_directory));
  if ((*ret_directory)->kind != FD_DIRECTORY) return WASI_ENOTDIR;
  return changes ? brig__fd_get_writable(&wasi->fds, fd, rights, ret_directory)
                 : brig__fd_get(&wasi->fds, fd, rights, ret_directory);
}

static wasi_errno get_leaf(const struct wasi_view *view, const struct fd_entry *directory,
                           uint32_t path, uint32_t size, struct beneath_leaf *ret_leaf) {
  char text[GUEST_PATH_MAX];
  TRY(brig__mem_path(view, path, size, text));
  return brig__wasi_errno(-brig__path_leaf(directory, text, ret_leaf));
}

static wasi_errno status(long rc) { return rc < 0 ? brig__wasi_errno(errno) : WASI_ESUCCESS; }

uint32_t brig__wasi_path_create_directory(struct wasi *wasi, const struct wasi_view *view,
                                          uint32_t fd, uint32_t path, uint32_t size) {
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  struct fd_entry *directory;
  TRY(get_directory(wasi, fd, WASI_RIGHT_PATH_CREATE_DIRECTORY, true, &directory));
  TRY(get_leaf(view, directory, path, size, &leaf));
  if (leaf.dots) return WASI_EEXIST;
  TRY(brig__quota_charge_file(&wasi->quota));
  wasi_errno error = status(mkdirat(leaf.parent, leaf.name, 0700));
  if (error != WASI_ESUCCESS) brig__quota_refund_file(&wasi->quota);
  return error;
}

static wasi_errno locate(const struct wasi_view *view, const struct fd_entry *directory,
                         uint32_t path, uint32_t size, bool follow, int *ret_fd) {
  char text[GUEST_PATH_MAX];
  TRY(brig__mem_path(view, path, size, text));
  int fd = brig__path_locate(directory, text, follow);
  if (fd < 0) return brig__wasi_errno(-fd);
  *ret_fd = fd;
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_path_filestat_get(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                      uint32_t lookup, uint32_t path, uint32_t size, uint32_t ret) {
  CLEANUP_FD int found = -1;
  struct fd_entry *directory;
  struct stat st;
  TRY(get_directory(wasi, fd, WASI_RIGHT_PATH_FILESTAT_GET, false, &directory));
  TRY(locate(view, directory, path, size, lookup & WASI_LOOKUP_SYMLINK_FOLLOW, &found));
  TRY(status(fstat(found, &st)));
  return brig__wasi_store_stat(view, ret, &st);
}

uint32_t brig__wasi_path_filestat_set_times(struct wasi *wasi, const struct wasi_view *view,
                                            uint32_t fd, uint32_t lookup, uint32_t path,
                                            uint32_t size, uint64_t atim, uint64_t mtim,
                                            uint32_t flags) {
  CLEANUP_FD int found = -1;
  struct fd_entry *directory;
  struct timespec times[2];
  TRY(brig__wasi_times(atim, mtim, flags, times));
  TRY(get_directory(wasi, fd, WASI_RIGHT_PATH_FILESTAT_SET_TIMES, true, &directory));
  TRY(locate(view, directory, path, size, lookup & WASI_LOOKUP_SYMLINK_FOLLOW, &found));
  return status(utimensat(found, "", times, AT_EMPTY_PATH));
}

uint32_t brig__wasi_path_readlink(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                  uint32_t path, uint32_t size, uint32_t buffer,
                                  uint32_t buffer_size, uint32_t ret) {
  CLEANUP_FD int found = -1;
  struct fd_entry *directory;
  char target[GUEST_PATH_MAX];
  struct stat st;
  TRY(get_directory(wasi, fd, WASI_RIGHT_PATH_READLINK, false, &directory));
  TRY(locate(view, directory, path, size, false, &found));
  TRY(status(fstat(found, &st)));
  if (!S_ISLNK(st.st_mode)) return WASI_EINVAL;
  ssize_t length = readlinkat(found, "", target, sizeof target);
  if (length < 0) return brig__wasi_errno(errno);
  if (brig__mem_range(view, buffer, buffer_size) == NULL) return WASI_EFAULT;
  uint32_t used = (uint64_t)length < buffer_size ? (uint32_t)length : buffer_size;
  TRY(brig__mem_store(view, buffer, target, used));
  return brig__mem_store_u32(view, ret, used);
}

/* The last link to a file that nobody has open frees its bytes. */
static void refund_removed(struct wasi *wasi, const struct stat *st) {
  brig__quota_refund_file(&wasi->quota);
  if (S_ISREG(st->st_mode) && st->st_nlink == 1 &&
      !brig__fd_has_open(&wasi->fds, st->st_dev, st->st_ino))
    brig__quota_refund_bytes(&wasi->quota, (uint64_t)st->st_size);
}

uint32_t brig__wasi_path_remove_directory(struct wasi *wasi, const struct wasi_view *view,
                                          uint32_t fd, uint32_t path, uint32_t size) {
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  struct fd_entry *directory;
  TRY(get_directory(wasi, fd, WASI_RIGHT_PATH_REMOVE_DIRECTORY, true, &directory));
  TRY(get_leaf(view, directory, path, size, &leaf));
  if (leaf.dots) return strcmp(leaf.name, ".") == 0 ? WASI_EINVAL : WASI_ENOTEMPTY;
  TRY(status(unlinkat(leaf.parent, leaf.name, AT_REMOVEDIR)));
  brig__quota_refund_file(&wasi->quota);
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_path_unlink_file(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                     uint32_t path, uint32_t size) {
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  struct fd_entry *directory;
  struct stat st;
  TRY(get_directory(wasi, fd, WASI_RIGHT_PATH_UNLINK_FILE, true, &directory));
  TRY(get_leaf(view, directory, path, size, &leaf));
  if (leaf.dots) return WASI_EISDIR;
  TRY(status(fstatat(leaf.parent, leaf.name, &st, AT_SYMLINK_NOFOLLOW)));
  if (S_ISDIR(st.st_mode)) return WASI_EISDIR;
  if (leaf.slash) return WASI_ENOTDIR;
  TRY(status(unlinkat(leaf.parent, leaf.name, 0)));
  refund_removed(wasi, &st);
  return WASI_ESUCCESS;
}

/* "name/" where no directory is: what the kernel would say of the whole path. */
static wasi_errno check_new_name(const struct beneath_leaf *leaf) {
  struct stat st;
  if (leaf->dots) return WASI_EEXIST;
  if (!leaf->slash) return WASI_ESUCCESS;
  if (fstatat(leaf->parent, leaf->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return brig__wasi_errno(errno);
  return S_ISDIR(st.st_mode) ? WASI_EEXIST : WASI_ENOTDIR;
}

/* A link may say anything relative: following it is what is confined. An absolute
 * one could never be followed, so it is refused where it is made. */
uint32_t brig__wasi_path_symlink(struct wasi *wasi, const struct wasi_view *view, uint32_t target,
                                 uint32_t target_size, uint32_t fd, uint32_t path, uint32_t size) {
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  struct fd_entry *directory;
  char text[GUEST_PATH_MAX];
  TRY(get_directory(wasi, fd, WASI_RIGHT_PATH_SYMLINK, true, &directory));
  TRY(brig__mem_path(view, target, target_size, text));
  if (text[0] == '/') return WASI_EPERM;
  TRY(get_leaf(view, directory, path, size, &leaf));
  TRY(check_new_name(&leaf));
  TRY(brig__quota_charge_file(&wasi->quota));
  wasi_errno error = status(symlinkat(text, leaf.parent, leaf.name));
  if (error != WASI_ESUCCESS) brig__quota_refund_file(&wasi->quota);
  return error;
}

/* Following the source is not offered: linkat would follow it by its own rules,
 * not by openat2's. */
uint32_t brig__wasi_path_link(struct wasi *wasi, const struct wasi_view *view, uint32_t old_fd,
                              uint32_t lookup, uint32_t old_path, uint32_t old_size,
                              uint32_t new_fd, uint32_t new_path, uint32_t new_size) {
  CLEANUP_LEAF struct beneath_leaf from = {.parent = -1};
  CLEANUP_LEAF struct beneath_leaf to = {.parent = -1};
  struct fd_entry *old_dir, *new_dir;
  struct stat st;
  TRY(get_directory(wasi, old_fd, WASI_RIGHT_PATH_LINK_SOURCE, true, &old_dir));
  TRY(get_directory(wasi, new_fd, WASI_RIGHT_PATH_LINK_TARGET, true, &new_dir));
  if (lookup != 0) return WASI_EINVAL;
  if (old_dir->mount != new_dir->mount) return WASI_EXDEV;
  TRY(get_leaf(view, old_dir, old_path, old_size, &from));
  if (from.dots) return WASI_EPERM;
  TRY(get_leaf(view, new_dir, new_path, new_size, &to));
  TRY(status(fstatat(from.parent, from.name, &st, AT_SYMLINK_NOFOLLOW)));
  if (S_ISDIR(st.st_mode)) return WASI_EPERM;
  if (from.slash) return WASI_ENOTDIR;
  TRY(check_new_name(&to));
  TRY(brig__quota_charge_file(&wasi->quota));
  wasi_errno error = status(linkat(from.parent, from.name, to.parent, to.name, 0));
  if (error != WASI_ESUCCESS) brig__quota_refund_file(&wasi->quota);
  return error;
}

/* Without the slashes that the kernel would have judged by. */
static wasi_errno check_rename(const struct beneath_leaf *from, const struct beneath_leaf *to,
                               struct stat *ret_replaced, bool *ret_replaces) {
  struct stat st;
  if (from->dots || to->dots) return WASI_EBUSY;
  TRY(status(fstatat(from->parent, from->name, &st, AT_SYMLINK_NOFOLLOW)));
  if ((from->slash || to->slash) && !S_ISDIR(st.st_mode)) return WASI_ENOTDIR;
  *ret_replaces = fstatat(to->parent, to->name, ret_replaced, AT_SYMLINK_NOFOLLOW) == 0 &&
                  (ret_replaced->st_ino != st.st_ino || ret_replaced->st_dev != st.st_dev);
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_path_rename(struct wasi *wasi, const struct wasi_view *view, uint32_t old_fd,
                                uint32_t old_path, uint32_t old_size, uint32_t new_fd,
                                uint32_t new_path, uint32_t new_size) {
  CLEANUP_LEAF struct beneath_leaf from = {.parent = -1};
  CLEANUP_LEAF struct beneath_leaf to = {.parent = -1};
  struct fd_entry *old_dir, *new_dir;
  struct stat replaced;
  bool replaces = false;
  TRY(get_directory(wasi, old_fd, WASI_RIGHT_PATH_RENAME_SOURCE, true, &old_dir));
  TRY(get_directory(wasi, new_fd, WASI_RIGHT_PATH_RENAME_TARGET, true, &new_dir));
  if (old_dir->mount != new_dir->mount) return WASI_EXDEV;
  TRY(get_leaf(view, old_dir, old_path, old_size, &from));
  TRY(get_leaf(view, new_dir, new_path, new_size, &to));
  TRY(check_rename(&from, &to, &replaced, &replaces));
  TRY(status(syscall(SYS_renameat2, from.parent, from.name, to.parent, to.name, 0)));
  if (replaces) refund_removed(wasi, &replaced);
  return WASI_ESUCCESS;
}
