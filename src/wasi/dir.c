/* fd_readdir. A cookie is the kernel's own position (d_off): stable while names
 * come and go, and a lseek away from where it was given out. */
#include "wasi/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "wasi/context.h"
#include "wasi/path.h"

struct dir_buffer {
  uint64_t cookie;   /* of the position `at` */
  uint32_t at, size; /* what is left of `data` */
  _Alignas(uint64_t) char data[8192];
};

struct host_dirent { /* getdents64(2) */
  uint64_t ino, off;
  uint16_t size;
  uint8_t type;
  char name[];
};

int brig__dir_listing(struct fd_entry *entry) {
  if (entry->given < 0) return entry->host;
  if (entry->listing < 0) {
    int fd = brig__path_open(entry, ".", O_RDONLY | O_DIRECTORY);
    if (fd < 0) return fd;
    entry->listing = fd;
  }
  return entry->listing;
}

void brig__dir_forget(struct fd_entry *entry) {
  if (entry->listing >= 0) close(entry->listing);
  entry->listing = -1;
  free(entry->entries);
  entry->entries = NULL;
}

static enum wasi_filetype filetype(uint8_t type) {
  return brig__wasi_filetype((unsigned)type << 12); /* DTTOIF */
}

/* Go on in what was read ahead if the cookie says so, else from the kernel. */
static wasi_errno position(struct fd_entry *entry, uint64_t cookie) {
  struct dir_buffer *buffer = entry->entries;
  if (buffer == NULL) {
    buffer = entry->entries = calloc(1, sizeof *buffer);
    if (buffer == NULL) return WASI_ENOMEM;
  } else if (cookie != 0 && buffer->cookie == cookie) {
    return WASI_ESUCCESS;
  }
  int fd = brig__dir_listing(entry);
  if (fd < 0) return brig__wasi_errno(-fd);
  if (cookie > INT64_MAX || lseek(fd, (off_t)cookie, SEEK_SET) < 0) return WASI_EINVAL;
  buffer->at = buffer->size = 0;
  buffer->cookie = cookie;
  return WASI_ESUCCESS;
}

/* The next entry, not yet consumed; NULL at the end. */
static wasi_errno peek(struct fd_entry *entry, const struct host_dirent **ret_item) {
  struct dir_buffer *buffer = entry->entries;
  if (buffer->at == buffer->size) {
    int fd = brig__dir_listing(entry);
    long got = fd < 0 ? -1 : syscall(SYS_getdents64, fd, buffer->data, sizeof buffer->data);
    if (got < 0) return brig__wasi_errno(fd < 0 ? -fd : errno);
    buffer->at = 0;
    buffer->size = (uint32_t)got;
  }
  *ret_item = buffer->at == buffer->size ? NULL : (const void *)(buffer->data + buffer->at);
  return WASI_ESUCCESS;
}

static void consume(struct fd_entry *entry, const struct host_dirent *item) {
  entry->entries->cookie = item->off;
  entry->entries->at += item->size;
}

/* The parent of what was granted is not the guest's to know: ".." has the number
 * of "." everywhere. */
static uint64_t number_of(const struct fd_entry *entry, const struct host_dirent *item) {
  struct stat st;
  if (strcmp(item->name, "..") != 0 || fstat(entry->host, &st) < 0) return item->ino;
  return st.st_ino;
}

static size_t render(const struct fd_entry *entry, const struct host_dirent *item,
                     char out[sizeof(struct wasi_dirent) + 256]) {
  size_t length = strnlen(item->name, 255);
  struct wasi_dirent dirent = {
      .next = item->off,
      .ino = number_of(entry, item),
      .name_size = (uint32_t)length,
      .filetype = (uint8_t)filetype(item->type),
  };
  memcpy(out, &dirent, sizeof dirent);
  memcpy(out + sizeof dirent, item->name, length);
  return sizeof dirent + length;
}

/* As many entries as fit; the last may be cut short, which says "more". */
static wasi_errno list(struct fd_entry *entry, uint8_t *out, uint32_t size, uint32_t *ret_used) {
  char rendered[sizeof(struct wasi_dirent) + 256];
  uint32_t used = 0;
  while (used < size) {
    const struct host_dirent *item = NULL;
    TRY(peek(entry, &item));
    if (item == NULL) break;
    size_t length = render(entry, item, rendered);
    size_t fits = length < size - used ? length : size - used;
    memcpy(out + used, rendered, fits);
    used += (uint32_t)fits;
    if (fits < length) break;
    consume(entry, item);
  }
  *ret_used = used;
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_fd_readdir(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                               uint32_t buffer, uint32_t size, uint64_t cookie, uint32_t ret) {
  struct fd_entry *entry;
  uint32_t used;
  TRY(brig__fd_get(&wasi->fds, fd, 0, &entry));
  if (entry->kind != FD_DIRECTORY) return WASI_ENOTDIR;
  TRY(brig__fd_get(&wasi->fds, fd, WASI_RIGHT_FD_READDIR, &entry));
  uint8_t *out = brig__mem_range(view, buffer, size);
  if (out == NULL || brig__mem_range(view, ret, sizeof used) == NULL) return WASI_EFAULT;
  TRY(position(entry, cookie));
  TRY(list(entry, out, size, &used));
  return brig__mem_store_u32(view, ret, used);
}
