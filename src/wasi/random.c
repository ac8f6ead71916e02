#include <errno.h>
#include <sys/random.h>
#include "wasi/context.h"

/* In pieces: one long read of random bytes cannot be interrupted between. */
#define PIECE 65536u

uint32_t brig__wasi_random_get(struct wasi *wasi, const struct wasi_view *view, uint32_t buffer,
                               uint32_t size) {
  uint8_t *at = brig__mem_range(view, buffer, size);
  (void)wasi;
  if (at == NULL) return WASI_EFAULT;
  while (size > 0) {
    ssize_t got = getrandom(at, size < PIECE ? size : PIECE, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return brig__wasi_errno(errno);
    at += got;
    size -= (uint32_t)got;
  }
  return WASI_ESUCCESS;
}
