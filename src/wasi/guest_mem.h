/* wasi/guest_mem.h - the only way into a guest's memory. Every range is checked
 * here, whole, before a byte of it is touched; addresses need no alignment. */
#ifndef BRIG_WASI_GUEST_MEM_H
#define BRIG_WASI_GUEST_MEM_H

#include <sys/uio.h>
#include "wasi/preview1.h"
#include "wasi/wasi.h"

/* The bytes at `address`, or NULL if they are not all in memory. A size of 0 may
 * lie at the very end. */
void *brig__mem_range(const struct wasi_view *view, uint32_t address, uint64_t size);

/* Copy in and out. WASI_EFAULT beyond memory. */
wasi_errno brig__mem_load(const struct wasi_view *view, uint32_t address, void *to, size_t size);
wasi_errno brig__mem_store(const struct wasi_view *view, uint32_t address, const void *from,
                           size_t size);
wasi_errno brig__mem_store_u32(const struct wasi_view *view, uint32_t address, uint32_t value);
wasi_errno brig__mem_store_u64(const struct wasi_view *view, uint32_t address, uint64_t value);

/* Buffers that a guest names, as the host's. At most this many are taken of a
 * longer list: reading or writing less is allowed, and they stay on our stack. */
#define GUEST_IOVECS 64

struct guest_iovecs {
  struct iovec items[GUEST_IOVECS];
  int count;
  uint64_t total; /* fits a u32 */
};
/* WASI_EINVAL for more than 1024 of them, as IOV_MAX has it. */
wasi_errno brig__mem_iovecs(const struct wasi_view *view, uint32_t address, uint32_t count,
                            struct guest_iovecs *ret_iovecs);

/* A path as a string: WASI_ENAMETOOLONG, WASI_EILSEQ if it is not UTF-8,
 * WASI_EINVAL with a 0 byte in it. */
#define GUEST_PATH_MAX 4096
wasi_errno brig__mem_path(const struct wasi_view *view, uint32_t address, uint32_t size,
                          char ret_path[GUEST_PATH_MAX]);

#endif
