/* What stat and utimes share: conversion between the kernel's and preview 1's. */
#include <sys/stat.h>
#include "wasi/clock.h"
#include "wasi/context.h"

enum wasi_filetype brig__wasi_filetype(unsigned mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return WASI_FILETYPE_REGULAR_FILE;
    case S_IFDIR:
      return WASI_FILETYPE_DIRECTORY;
    case S_IFLNK:
      return WASI_FILETYPE_SYMBOLIC_LINK;
    case S_IFCHR:
      return WASI_FILETYPE_CHARACTER_DEVICE;
    case S_IFBLK:
      return WASI_FILETYPE_BLOCK_DEVICE;
    case S_IFSOCK:
      return WASI_FILETYPE_SOCKET_STREAM;
    default:
      return WASI_FILETYPE_UNKNOWN;
  }
}

wasi_errno brig__wasi_store_stat(const struct wasi_view *view, uint32_t address,
                                 const struct stat *st) {
  struct wasi_filestat filestat = {
      .dev = st->st_dev,
      .ino = st->st_ino,
      .filetype = (uint8_t)brig__wasi_filetype(st->st_mode),
      .nlink = st->st_nlink,
      .size = (uint64_t)st->st_size,
      .atim = brig__wasi_nanoseconds(&st->st_atim),
      .mtim = brig__wasi_nanoseconds(&st->st_mtim),
      .ctim = brig__wasi_nanoseconds(&st->st_ctim),
  };
  return brig__mem_store(view, address, &filestat, sizeof filestat);
}

static struct timespec one_time(uint64_t nanoseconds, uint32_t flags, uint32_t set, uint32_t now) {
  if (flags & now) return (struct timespec){0, UTIME_NOW};
  if (!(flags & set)) return (struct timespec){0, UTIME_OMIT};
  return (struct timespec){(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
}

wasi_errno brig__wasi_times(uint64_t atim, uint64_t mtim, uint32_t flags,
                            struct timespec ret_times[2]) {
  const uint32_t both_atim = WASI_FSTFLAG_ATIM | WASI_FSTFLAG_ATIM_NOW;
  const uint32_t both_mtim = WASI_FSTFLAG_MTIM | WASI_FSTFLAG_MTIM_NOW;
  if ((flags & ~(uint32_t)WASI_FSTFLAGS_ALL) != 0 || (flags & both_atim) == both_atim ||
      (flags & both_mtim) == both_mtim)
    return WASI_EINVAL;
  ret_times[0] = one_time(atim, flags, WASI_FSTFLAG_ATIM, WASI_FSTFLAG_ATIM_NOW);
  ret_times[1] = one_time(mtim, flags, WASI_FSTFLAG_MTIM, WASI_FSTFLAG_MTIM_NOW);
  return WASI_ESUCCESS;
}
