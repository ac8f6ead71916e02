#include <string.h>
#include "wasi/context.h"

static wasi_errno store_sizes(const struct string_block *block, const struct wasi_view *view,
                              uint32_t count, uint32_t size) {
  TRY(brig__mem_store_u32(view, count, block->count));
  return brig__mem_store_u32(view, size, block->size);
}

static wasi_errno store_strings(const struct string_block *block, const struct wasi_view *view,
                                uint32_t pointers, uint32_t buffer) {
  TRY(brig__mem_store(view, buffer, block->data, block->size));
  if (brig__mem_range(view, pointers, (uint64_t)block->count * 4) == NULL) return WASI_EFAULT;
  uint32_t at = 0;
  for (uint32_t i = 0; i < block->count; i++) {
    TRY(brig__mem_store_u32(view, pointers + 4 * i, buffer + at));
    at += (uint32_t)strlen(block->data + at) + 1;
  }
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_args_sizes_get(struct wasi *wasi, const struct wasi_view *view, uint32_t count,
                                   uint32_t size) {
  return store_sizes(&wasi->arguments, view, count, size);
}

uint32_t brig__wasi_args_get(struct wasi *wasi, const struct wasi_view *view, uint32_t pointers,
                             uint32_t buffer) {
  return store_strings(&wasi->arguments, view, pointers, buffer);
}

uint32_t brig__wasi_environ_sizes_get(struct wasi *wasi, const struct wasi_view *view,
                                      uint32_t count, uint32_t size) {
  return store_sizes(&wasi->environment, view, count, size);
}

uint32_t brig__wasi_environ_get(struct wasi *wasi, const struct wasi_view *view, uint32_t pointers,
                                uint32_t buffer) {
  return store_strings(&wasi->environment, view, pointers, buffer);
}
