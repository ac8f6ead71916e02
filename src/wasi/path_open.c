#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fd.h"
#include "wasi/context.h"
#include "wasi/path.h"

struct opening {
  struct wasi *wasi;
  const struct fd_entry *directory;
  char path[GUEST_PATH_MAX];
  uint32_t oflags, fdflags;
  wasi_rights base, inheriting;
  int flags; /* open(2)'s */
};

#define CHANGES_CONTENT \
  ((wasi_rights)(WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_ALLOCATE | WASI_RIGHT_FD_FILESTAT_SET_SIZE))

static bool writes(const struct opening *opening) {
  if (opening->oflags & WASI_OFLAG_DIRECTORY) return false;
  return (opening->base & CHANGES_CONTENT) != 0 || (opening->oflags & WASI_OFLAG_TRUNC) != 0;
}

static wasi_errno check_flags(const struct opening *opening, uint32_t lookup) {
  const uint32_t contradiction = WASI_OFLAG_CREAT | WASI_OFLAG_DIRECTORY;
  if ((opening->oflags & ~(uint32_t)WASI_OFLAGS_ALL) != 0 ||
      (opening->fdflags & ~(uint32_t)WASI_FDFLAGS_ALL) != 0 ||
      (lookup & ~(uint32_t)WASI_LOOKUP_SYMLINK_FOLLOW) != 0 ||
      (opening->oflags & contradiction) == contradiction)
    return WASI_EINVAL;
  return WASI_ESUCCESS;
}

/* What the directory's rights must be for this. */
static wasi_rights rights_for(const struct opening *opening) {
  wasi_rights rights = WASI_RIGHT_PATH_OPEN;
  if (opening->oflags & WASI_OFLAG_CREAT) rights |= WASI_RIGHT_PATH_CREATE_FILE;
  if (opening->oflags & WASI_OFLAG_TRUNC) rights |= WASI_RIGHT_PATH_FILESTAT_SET_SIZE;
  return rights;
}

static int host_flags(const struct opening *opening, uint32_t lookup) {
  bool reads = (opening->base & (WASI_RIGHT_FD_READ | WASI_RIGHT_FD_READDIR)) != 0;
  int flags = !writes(opening) ? O_RDONLY : reads ? O_RDWR : O_WRONLY;
  if (opening->oflags & WASI_OFLAG_DIRECTORY) flags |= O_DIRECTORY;
  if (!(lookup & WASI_LOOKUP_SYMLINK_FOLLOW)) flags |= O_NOFOLLOW;
  if (opening->fdflags & WASI_FDFLAG_APPEND) flags |= O_APPEND;
  if (opening->fdflags & WASI_FDFLAG_DSYNC) flags |= O_DSYNC;
  if (opening->fdflags & (WASI_FDFLAG_SYNC | WASI_FDFLAG_RSYNC)) flags |= O_SYNC;
  return flags;
}

/* A charge is made before the file is: afterwards there would be nothing to do
 * about one too many. */
static int create(struct opening *opening, int more) {
  struct quota *quota = &opening->wasi->quota;
  if (brig__quota_charge_file(quota) != WASI_ESUCCESS) return -EDQUOT;
  int fd = brig__path_open(opening->directory, opening->path, opening->flags | O_CREAT | more);
  if (fd < 0) brig__quota_refund_file(quota);
  return fd;
}

/* Whether a file was made must be known, to charge it: first without O_CREAT,
 * then with O_EXCL; what exists for O_EXCL and not without it is a dangling
 * symbolic link, whose target the kernel then makes, if it is inside. */
static int open_or_create(struct opening *opening) {
  bool may_create = (opening->oflags & WASI_OFLAG_CREAT) != 0;
  if (may_create && (opening->oflags & WASI_OFLAG_EXCL)) return create(opening, O_EXCL);
  int fd = brig__path_open(opening->directory, opening->path, opening->flags);
  if (fd != -ENOENT || !may_create) return fd;
  fd = create(opening, O_EXCL);
  return fd == -EEXIST ? create(opening, 0) : fd;
}

static wasi_errno truncate_file(struct opening *opening, int fd, const struct stat *st) {
  if (st->st_size == 0) return WASI_ESUCCESS;
  if (ftruncate(fd, 0) < 0) return brig__wasi_errno(errno);
  brig__quota_refund_bytes(&opening->wasi->quota, (uint64_t)st->st_size);
  return WASI_ESUCCESS;
}

/* Takes over `fd`. Devices, sockets and FIFOs are not for guests, however they
 * got there. */
static wasi_errno adopt(struct opening *opening, int opened, uint32_t *ret_fd) {
  CLEANUP_FD int fd = opened;
  struct stat st;
  if (fstat(fd, &st) < 0) return brig__wasi_errno(errno);
  bool directory = S_ISDIR(st.st_mode);
  if (!directory && !S_ISREG(st.st_mode)) return WASI_EACCES;
  if (!directory && (opening->oflags & WASI_OFLAG_TRUNC)) TRY(truncate_file(opening, fd, &st));
  struct fd_entry entry = {
      .kind = directory ? FD_DIRECTORY : FD_FILE,
      .filetype = brig__wasi_filetype(st.st_mode),
      .host = STEAL_FD(fd),
      .given = -1,
      .read_only = opening->directory->read_only,
      .flags = (uint16_t)opening->fdflags,
      .mount = opening->directory->mount,
      .base = opening->base & (directory ? WASI_RIGHTS_DIRECTORY : WASI_RIGHTS_FILE),
      .inheriting = opening->inheriting,
      .listing = -1,
  };
  return brig__fd_insert(&opening->wasi->fds, &entry, ret_fd);
}

uint32_t brig__wasi_path_open(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                              uint32_t lookup, uint32_t path, uint32_t path_size, uint32_t oflags,
                              uint64_t base, uint64_t inheriting, uint32_t fdflags, uint32_t ret) {
  struct opening opening = {
      .wasi = wasi, .oflags = oflags, .fdflags = fdflags, .base = base, .inheriting = inheriting};
  struct fd_entry *directory;
  uint32_t new_fd;
  TRY(brig__mem_path(view, path, path_size, opening.path));
  if (brig__mem_range(view, ret, sizeof new_fd) == NULL) return WASI_EFAULT;
  TRY(check_flags(&opening, lookup));
  TRY(brig__fd_get(&wasi->fds, fd, 0, &directory));
  if (directory->kind != FD_DIRECTORY) return WASI_ENOTDIR;
  TRY(brig__fd_get(&wasi->fds, fd, rights_for(&opening), &directory));
  if (((base | inheriting) & ~directory->inheriting) != 0) return WASI_ENOTCAPABLE;
  if (writes(&opening) || (oflags & WASI_OFLAG_CREAT))
    TRY(brig__fd_get_writable(&wasi->fds, fd, 0, &directory));
  opening.directory = directory;
  opening.flags = host_flags(&opening, lookup);
  int opened = open_or_create(&opening);
  if (opened < 0) return brig__wasi_errno(-opened);
  TRY(adopt(&opening, opened, &new_fd));
  return brig__mem_store_u32(view, ret, new_fd);
}
