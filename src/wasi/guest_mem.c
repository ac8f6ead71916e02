#include "wasi/guest_mem.h"

#include <string.h>

#define GUEST_IOVECS_MAX 1024

void *brig__mem_range(const struct wasi_view *view, uint32_t address, uint64_t size) {
  if (view->base == NULL || size > view->size || address > view->size - size) return NULL;
  return view->base + address;
}

wasi_errno brig__mem_load(const struct wasi_view *view, uint32_t address, void *to, size_t size) {
  const void *from = brig__mem_range(view, address, size);
  if (from == NULL) return WASI_EFAULT;
  memcpy(to, from, size);
  return WASI_ESUCCESS;
}

wasi_errno brig__mem_store(const struct wasi_view *view, uint32_t address, const void *from,
                           size_t size) {
  void *to = brig__mem_range(view, address, size);
  if (to == NULL) return WASI_EFAULT;
  memcpy(to, from, size);
  return WASI_ESUCCESS;
}

wasi_errno brig__mem_store_u32(const struct wasi_view *view, uint32_t address, uint32_t value) {
  return brig__mem_store(view, address, &value, sizeof value);
}

wasi_errno brig__mem_store_u64(const struct wasi_view *view, uint32_t address, uint64_t value) {
  return brig__mem_store(view, address, &value, sizeof value);
}

static wasi_errno add_iovec(const struct wasi_view *view, const struct wasi_iovec *from,
                            struct guest_iovecs *to) {
  void *base = brig__mem_range(view, from->buffer, from->size);
  if (base == NULL) return WASI_EFAULT;
  uint64_t left = UINT32_MAX - to->total;
  if (from->size == 0 || to->count == GUEST_IOVECS) return WASI_ESUCCESS;
  size_t size = from->size < left ? from->size : (size_t)left;
  to->items[to->count++] = (struct iovec){base, size};
  to->total += size;
  return WASI_ESUCCESS;
}

wasi_errno brig__mem_iovecs(const struct wasi_view *view, uint32_t address, uint32_t count,
                            struct guest_iovecs *ret_iovecs) {
  ret_iovecs->count = 0;
  ret_iovecs->total = 0;
  if (count > GUEST_IOVECS_MAX) return WASI_EINVAL;
  const uint8_t *list = brig__mem_range(view, address, (uint64_t)count * sizeof(struct wasi_iovec));
  if (list == NULL) return WASI_EFAULT;
  for (uint32_t i = 0; i < count; i++) {
    struct wasi_iovec item;
    memcpy(&item, list + i * sizeof item, sizeof item);
    wasi_errno error = add_iovec(view, &item, ret_iovecs);
    if (error != WASI_ESUCCESS) return error;
  }
  return WASI_ESUCCESS;
}

/* The length of the UTF-8 sequence at `at`, or 0 (RFC 3629: no surrogates, no
 * overlong forms, nothing beyond U+10FFFF). */
static size_t sequence(const uint8_t *at, size_t left) {
  uint8_t first = at[0];
  if (first < 0x80) return 1;
  size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || size > left) return 0;
  for (size_t i = 1; i < size; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
      (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
    return 0;
  return size;
}

wasi_errno brig__mem_path(const struct wasi_view *view, uint32_t address, uint32_t size,
                          char ret_path[GUEST_PATH_MAX]) {
  const uint8_t *path = brig__mem_range(view, address, size);
  if (path == NULL) return WASI_EFAULT;
  if (size >= GUEST_PATH_MAX) return WASI_ENAMETOOLONG;
  if (memchr(path, 0, size) != NULL) return WASI_EINVAL;
  for (size_t at = 0, step; at < size; at += step)
    if ((step = sequence(path + at, size - at)) == 0) return WASI_EILSEQ;
  memcpy(ret_path, path, size);
  ret_path[size] = '\0';
  return WASI_ESUCCESS;
}
