/* Calls about a descriptor, but for reading, writing and listing. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "wasi/context.h"
#include "wasi/dir.h"

static wasi_errno status(long rc) { return rc < 0 ? brig__wasi_errno(errno) : WASI_ESUCCESS; }

uint32_t brig__wasi_fd_close(struct wasi *wasi, const struct wasi_view *view, uint32_t fd) {
  (void)view;
  return brig__fd_close(&wasi->fds, fd);
}

uint32_t brig__wasi_fd_renumber(struct wasi *wasi, const struct wasi_view *view, uint32_t from,
                                uint32_t to) {
  (void)view;
  return brig__fd_move(&wasi->fds, from, to);
}

uint32_t brig__wasi_fd_advise(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                              uint64_t offset, uint64_t size, uint32_t advice) {
  static const int advices[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
  struct fd_entry *entry;
  (void)view;
  TRY(brig__fd_get(&wasi->fds, fd, 0, &entry));
  if (entry->kind == FD_DIRECTORY) return WASI_EBADF;
  if (entry->kind == FD_STREAM) return WASI_ESPIPE;
  TRY(brig__fd_get(&wasi->fds, fd, WASI_RIGHT_FD_ADVISE, &entry));
  if (advice >= sizeof advices / sizeof *advices || offset > INT64_MAX || size > INT64_MAX)
    return WASI_EINVAL;
  return brig__wasi_errno(posix_fadvise(entry->host, (off_t)offset, (off_t)size, advices[advice]));
}

/* A file, for a call that changes its size. */
static wasi_errno get_sized(struct wasi *wasi, uint32_t fd, wasi_rights right,
                            struct fd_entry **ret_entry, struct stat *ret_stat) {
  TRY(brig__fd_get(&wasi->fds, fd, 0, ret_entry));
  if ((*ret_entry)->kind == FD_DIRECTORY) return WASI_EBADF;
  if ((*ret_entry)->kind == FD_STREAM) return WASI_EINVAL;
  TRY(brig__fd_get_writable(&wasi->fds, fd, right, ret_entry));
  return status(fstat((*ret_entry)->host, ret_stat));
}

uint32_t brig__wasi_fd_allocate(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                uint64_t offset, uint64_t size) {
  struct fd_entry *entry;
  struct stat st;
  uint64_t end;
  (void)view;
  TRY(get_sized(wasi, fd, WASI_RIGHT_FD_ALLOCATE, &entry, &st));
  if (size == 0) return WASI_EINVAL;
  if (__builtin_add_overflow(offset, size, &end) || end > INT64_MAX) return WASI_EFBIG;
  uint64_t growth = end > (uint64_t)st.st_size ? end - (uint64_t)st.st_size : 0;
  TRY(brig__quota_charge_bytes(&wasi->quota, growth));
  wasi_errno error = status(fallocate(entry->host, 0, (off_t)offset, (off_t)size));
  if (error != WASI_ESUCCESS) brig__quota_refund_bytes(&wasi->quota, growth);
  return error;
}

uint32_t brig__wasi_fd_filestat_set_size(struct wasi *wasi, const struct wasi_view *view,
                                         uint32_t fd, uint64_t size) {
  struct fd_entry *entry;
  struct stat st;
  (void)view;
  TRY(get_sized(wasi, fd, WASI_RIGHT_FD_FILESTAT_SET_SIZE, &entry, &st));
  if (size > INT64_MAX) return WASI_EINVAL;
  uint64_t old = (uint64_t)st.st_size;
  uint64_t growth = size > old ? size - old : 0;
  TRY(brig__quota_charge_bytes(&wasi->quota, growth));
  wasi_errno error = status(ftruncate(entry->host, (off_t)size));
  if (error != WASI_ESUCCESS)
    brig__quota_refund_bytes(&wasi->quota, growth);
  else if (size < old)
    brig__quota_refund_bytes(&wasi->quota, old - size);
  return error;
}

/* A preopened directory is an O_PATH descriptor, which fsync does not take. */
static wasi_errno sync_entry(struct wasi *wasi, uint32_t fd, wasi_rights right,
                             int (*sync)(int fd)) {
  struct fd_entry *entry;
  TRY(brig__fd_get(&wasi->fds, fd, right, &entry));
  if (entry->kind == FD_STREAM) return WASI_ESUCCESS; /* nothing is held back */
  int host = entry->kind == FD_DIRECTORY ? brig__dir_listing(entry) : entry->host;
  return host < 0 ? brig__wasi_errno(-host) : status(sync(host));
}

uint32_t brig__wasi_fd_datasync(struct wasi *wasi, const struct wasi_view *view, uint32_t fd) {
  (void)view;
  return sync_entry(wasi, fd, WASI_RIGHT_FD_DATASYNC, fdatasync);
}

uint32_t brig__wasi_fd_sync(struct wasi *wasi, const struct wasi_view *view, uint32_t fd) {
  (void)view;
  return sync_entry(wasi, fd, WASI_RIGHT_FD_SYNC, fsync);
}

uint32_t brig__wasi_fd_fdstat_get(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                  uint32_t ret) {
  struct fd_entry *entry;
  TRY(brig__fd_get(&wasi->fds, fd, 0, &entry));
  struct wasi_fdstat fdstat = {
      .filetype = (uint8_t)entry->filetype,
      .flags = entry->flags,
      .base = entry->base,
      .inheriting = entry->inheriting,
  };
  return brig__mem_store(view, ret, &fdstat, sizeof fdstat);
}

/* O_NONBLOCK of a stream is ours alone (stream.c): the description behind it is
 * shared with processes outside. A regular file does not know it. */
uint32_t brig__wasi_fd_fdstat_set_flags(struct wasi *wasi, const struct wasi_view *view,
                                        uint32_t fd, uint32_t flags) {
  const uint32_t settable = WASI_FDFLAG_APPEND | WASI_FDFLAG_NONBLOCK;
  struct fd_entry *entry;
  (void)view;
  TRY(brig__fd_get(&wasi->fds, fd, WASI_RIGHT_FD_FDSTAT_SET_FLAGS, &entry));
  if ((flags & ~(uint32_t)WASI_FDFLAGS_ALL) != 0) return WASI_EINVAL;
  if ((flags & ~settable) != (entry->flags & ~settable)) return WASI_ENOTSUP;
  if (entry->kind == FD_FILE) {
    int now = fcntl(entry->host, F_GETFL);
    if (now < 0) return brig__wasi_errno(errno);
    now = flags & WASI_FDFLAG_APPEND ? now | O_APPEND : now & ~O_APPEND;
    TRY(status(fcntl(entry->host, F_SETFL, now)));
  }
  entry->flags = (uint16_t)flags;
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_fd_fdstat_set_rights(struct wasi *wasi, const struct wasi_view *view,
                                         uint32_t fd, uint64_t base, uint64_t inheriting) {
  struct fd_entry *entry;
  (void)view;
  TRY(brig__fd_get(&wasi->fds, fd, 0, &entry));
  if ((base & ~entry->base) != 0 || (inheriting & ~entry->inheriting) != 0) return WASI_ENOTCAPABLE;
  entry->base = base;
  entry->inheriting = inheriting;
  return WASI_ESUCCESS;
}

/* Of a stream only its type is told: what the host's end is made of is not the
 * guest's business. */
uint32_t brig__wasi_fd_filestat_get(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                    uint32_t ret) {
  struct fd_entry *entry;
  struct stat st;
  TRY(brig__fd_get(&wasi->fds, fd, WASI_RIGHT_FD_FILESTAT_GET, &entry));
  if (entry->kind == FD_STREAM) {
    struct wasi_filestat filestat = {.filetype = (uint8_t)entry->filetype, .nlink = 1};
    return brig__mem_store(view, ret, &filestat, sizeof filestat);
  }
  TRY(status(fstat(entry->host, &st)));
  return brig__wasi_store_stat(view, ret, &st);
}

uint32_t brig__wasi_fd_filestat_set_times(struct wasi *wasi, const struct wasi_view *view,
                                          uint32_t fd, uint64_t atim, uint64_t mtim,
                                          uint32_t flags) {
  struct fd_entry *entry;
  struct timespec times[2];
  (void)view;
  TRY(brig__wasi_times(atim, mtim, flags, times));
  TRY(brig__fd_get_writable(&wasi->fds, fd, WASI_RIGHT_FD_FILESTAT_SET_TIMES, &entry));
  return status(utimensat(entry->host, "", times, AT_EMPTY_PATH));
}

static wasi_errno get_preopen(struct wasi *wasi, uint32_t fd, const char **ret_name) {
  struct fd_entry *entry;
  TRY(brig__fd_get(&wasi->fds, fd, 0, &entry));
  if (entry->preopen == NULL) return WASI_EBADF;
  *ret_name = entry->preopen;
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_fd_prestat_get(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                   uint32_t ret) {
  const char *name;
  TRY(get_preopen(wasi, fd, &name));
  struct wasi_prestat prestat = {.name_size = (uint32_t)strlen(name)};
  return brig__mem_store(view, ret, &prestat, sizeof prestat);
}

uint32_t brig__wasi_fd_prestat_dir_name(struct wasi *wasi, const struct wasi_view *view,
                                        uint32_t fd, uint32_t buffer, uint32_t size) {
  const char *name;
  TRY(get_preopen(wasi, fd, &name));
  if (size < strlen(name)) return WASI_ENAMETOOLONG;
  return brig__mem_store(view, buffer, name, strlen(name));
}
