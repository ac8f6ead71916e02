/* Reading, writing and seeking. The kernel reads and writes the guest's memory
 * directly: every buffer has been checked. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "wasi/context.h"

/* A stream whose guest asked for O_NONBLOCK is asked whether it is ready. */
static wasi_errno check_ready(const struct fd_entry *entry, short events) {
  struct pollfd one = {.fd = entry->host, .events = events};
  const struct timespec at_once = {0, 0};
  if (entry->kind != FD_STREAM || !(entry->flags & WASI_FDFLAG_NONBLOCK)) return WASI_ESUCCESS;
  return ppoll(&one, 1, &at_once, NULL) == 0 ? WASI_EAGAIN : WASI_ESUCCESS;
}

static wasi_errno finish(const struct wasi_view *view, uint32_t ret, ssize_t count) {
  return count < 0 ? brig__wasi_errno(errno) : brig__mem_store_u32(view, ret, (uint32_t)count);
}

static ssize_t read_at(const struct fd_entry *entry, const struct guest_iovecs *buffers,
                       const uint64_t *offset) {
  ssize_t count;
  do {
    count = offset == NULL ? readv(entry->host, buffers->items, buffers->count)
                           : preadv(entry->host, buffers->items, buffers->count, (off_t)*offset);
  } while (count < 0 && errno == EINTR);
  return count;
}

static ssize_t write_at(const struct fd_entry *entry, const struct guest_iovecs *buffers,
                        const uint64_t *offset) {
  ssize_t count;
  do {
    count = offset == NULL ? writev(entry->host, buffers->items, buffers->count)
                           : pwritev(entry->host, buffers->items, buffers->count, (off_t)*offset);
  } while (count < 0 && errno == EINTR);
  return count;
}

/* Checks that reading and writing share; `offset` is NULL for the current one. */
static wasi_errno begin(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                        wasi_rights right, uint32_t iovecs, uint32_t count, const uint64_t *offset,
                        uint32_t ret, struct fd_entry **ret_entry,
                        struct guest_iovecs *ret_buffers) {
  TRY(brig__fd_get(&wasi->fds, fd, 0, ret_entry));
  if ((*ret_entry)->kind == FD_DIRECTORY) return WASI_EISDIR;
  if (offset != NULL && (*ret_entry)->kind == FD_STREAM) return WASI_ESPIPE;
  TRY(brig__fd_get(&wasi->fds, fd, right, ret_entry));
  if (offset != NULL && *offset > INT64_MAX) return WASI_EINVAL;
  if (brig__mem_range(view, ret, 4) == NULL) return WASI_EFAULT;
  return brig__mem_iovecs(view, iovecs, count, ret_buffers);
}

static ssize_t take_program(struct wasi *wasi, const struct guest_iovecs *buffers) {
  size_t taken = 0;
  for (int i = 0; i < buffers->count && wasi->program_size > 0; i++) {
    const struct iovec *into = &buffers->items[i];
    size_t size = into->iov_len < wasi->program_size ? into->iov_len : wasi->program_size;
    memcpy(into->iov_base, wasi->program, size);
    wasi->program += size;
    wasi->program_size -= size;
    taken += size;
  }
  return (ssize_t)taken;
}

/* Its end is told once; what follows is standard input's own, or the next turn's. */
static wasi_errno read_program(struct wasi *wasi, const struct wasi_view *view,
                               const struct guest_iovecs *buffers, uint32_t ret) {
  const struct fd_entry file = {.host = wasi->program_fd};
  ssize_t count =
      wasi->program_fd >= 0 ? read_at(&file, buffers, NULL) : take_program(wasi, buffers);
  int error = errno;
  if (count <= 0) {
    if (wasi->program_fd >= 0) close(wasi->program_fd);
    wasi->has_program = false;
    wasi->parks = wasi->source == GIVEN_CONTROL;
  }
  errno = error;
  return finish(view, ret, count);
}

static uint32_t read_call(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                          uint32_t iovecs, uint32_t count, const uint64_t *offset, uint32_t ret) {
  wasi_rights rights = WASI_RIGHT_FD_READ | (offset != NULL ? WASI_RIGHT_FD_SEEK : 0);
  struct guest_iovecs buffers;
  struct fd_entry *entry;
  TRY(begin(wasi, view, fd, rights, iovecs, count, offset, ret, &entry, &buffers));
  if (brig__wasi_must_park(wasi, entry)) return WASI_PARKED;
  if (buffers.count == 0) return brig__mem_store_u32(view, ret, 0);
  if (brig__wasi_gives_program(wasi, entry))
    return read_program(wasi, view, &buffers, ret);
  TRY(check_ready(entry, POLLIN));
  return finish(view, ret, read_at(entry, &buffers, offset));
}

static void shorten(struct guest_iovecs *buffers, uint64_t total) {
  buffers->total = total;
  int count = 0;
  while (count < buffers->count && total > 0) {
    struct iovec *item = &buffers->items[count++];
    if (item->iov_len > total) item->iov_len = (size_t)total;
    total -= item->iov_len;
  }
  buffers->count = count;
}

/* Where this write begins, and how long the file is before it. */
static wasi_errno find_offset(const struct fd_entry *entry, const uint64_t *given,
                              uint64_t *ret_offset, uint64_t *ret_size) {
  struct stat st;
  if (fstat(entry->host, &st) < 0) return brig__wasi_errno(errno);
  off_t at = given != NULL ? (off_t)*given : lseek(entry->host, 0, SEEK_CUR);
  if (at < 0) return brig__wasi_errno(errno);
  *ret_size = (uint64_t)st.st_size;
  /* pwrite(2): with O_APPEND Linux appends whatever the offset. */
  *ret_offset = entry->flags & WASI_FDFLAG_APPEND ? *ret_size : (uint64_t)at;
  return WASI_ESUCCESS;
}

static uint64_t beyond(uint64_t end, uint64_t size) { return end > size ? end - size : 0; }

/* A write that fits the quota in part is done in part; a gap before it counts. */
static wasi_errno write_file(struct wasi *wasi, const struct wasi_view *view,
                             const struct fd_entry *entry, struct guest_iovecs *buffers,
                             const uint64_t *given, uint32_t ret) {
  uint64_t offset = 0, size = 0, end;
  TRY(find_offset(entry, given, &offset, &size));
  if (__builtin_add_overflow(offset, buffers->total, &end) || end > INT64_MAX) return WASI_EFBIG;
  uint64_t granted = brig__quota_take_bytes(&wasi->quota, beyond(end, size));
  uint64_t allowed = beyond(size + granted, offset);
  if (end > size && allowed < buffers->total) shorten(buffers, allowed);
  if (buffers->total == 0) {
    brig__quota_refund_bytes(&wasi->quota, granted);
    return WASI_ENOSPC;
  }
  ssize_t count = write_at(entry, buffers, given);
  int error = errno;
  uint64_t grown = count < 0 ? 0 : beyond(offset + (uint64_t)count, size);
  brig__quota_refund_bytes(&wasi->quota, granted - (grown < granted ? grown : granted));
  errno = error;
  return finish(view, ret, count);
}

static uint32_t write_call(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                           uint32_t iovecs, uint32_t count, const uint64_t *offset, uint32_t ret) {
  wasi_rights rights = WASI_RIGHT_FD_WRITE | (offset != NULL ? WASI_RIGHT_FD_SEEK : 0);
  struct guest_iovecs buffers;
  struct fd_entry *entry;
  TRY(begin(wasi, view, fd, rights, iovecs, count, offset, ret, &entry, &buffers));
  if (entry->kind == FD_FILE) TRY(brig__fd_get_writable(&wasi->fds, fd, rights, &entry));
  if (buffers.count == 0) return brig__mem_store_u32(view, ret, 0);
  if (entry->kind == FD_FILE) return write_file(wasi, view, entry, &buffers, offset, ret);
  TRY(check_ready(entry, POLLOUT));
  return finish(view, ret, write_at(entry, &buffers, NULL));
}

uint32_t brig__wasi_fd_read(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                            uint32_t iovecs, uint32_t count, uint32_t ret) {
  return read_call(wasi, view, fd, iovecs, count, NULL, ret);
}

uint32_t brig__wasi_fd_pread(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                             uint32_t iovecs, uint32_t count, uint64_t offset, uint32_t ret) {
  return read_call(wasi, view, fd, iovecs, count, &offset, ret);
}

uint32_t brig__wasi_fd_write(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                             uint32_t iovecs, uint32_t count, uint32_t ret) {
  return write_call(wasi, view, fd, iovecs, count, NULL, ret);
}

uint32_t brig__wasi_fd_pwrite(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                              uint32_t iovecs, uint32_t count, uint64_t offset, uint32_t ret) {
  return write_call(wasi, view, fd, iovecs, count, &offset, ret);
}

static wasi_errno seek(struct wasi *wasi, uint32_t fd, wasi_rights right, int64_t offset,
                       int whence, uint64_t *ret_offset) {
  struct fd_entry *entry;
  TRY(brig__fd_get(&wasi->fds, fd, 0, &entry));
  if (entry->kind == FD_DIRECTORY) return WASI_EISDIR;
  if (entry->kind == FD_STREAM) return WASI_ESPIPE;
  TRY(brig__fd_get(&wasi->fds, fd, right, &entry));
  off_t at = lseek(entry->host, offset, whence);
  if (at < 0) return brig__wasi_errno(errno);
  *ret_offset = (uint64_t)at;
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_fd_seek(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                            uint64_t offset, uint32_t whence, uint32_t ret) {
  static const int whences[] = {
      [WASI_WHENCE_SET] = SEEK_SET, [WASI_WHENCE_CUR] = SEEK_CUR, [WASI_WHENCE_END] = SEEK_END};
  uint64_t at;
  if (whence >= sizeof whences / sizeof *whences) return WASI_EINVAL;
  if (brig__mem_range(view, ret, sizeof at) == NULL) return WASI_EFAULT;
  /* To ask where one is takes the lesser right, as witx has it. */
  bool asks = whence == WASI_WHENCE_CUR && offset == 0;
  TRY(seek(wasi, fd, asks ? WASI_RIGHT_FD_TELL : WASI_RIGHT_FD_SEEK, (int64_t)offset,
           whences[whence], &at));
  return brig__mem_store_u64(view, ret, at);
}

uint32_t brig__wasi_fd_tell(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                            uint32_t ret) {
  uint64_t at;
  if (brig__mem_range(view, ret, sizeof at) == NULL) return WASI_EFAULT;
  TRY(seek(wasi, fd, WASI_RIGHT_FD_TELL, 0, SEEK_CUR, &at));
  return brig__mem_store_u64(view, ret, at);
}
