/* There is no network, and no descriptor that is a socket: every call is about a
 * descriptor that is none, or not supported where that is the question. */
#include "wasi/context.h"

static wasi_errno not_a_socket(struct wasi *wasi, uint32_t fd) {
  struct fd_entry *entry;
  TRY(brig__fd_get(&wasi->fds, fd, 0, &entry));
  return WASI_ENOTSUP;
}

uint32_t brig__wasi_sock_accept(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                uint32_t flags, uint32_t ret) {
  (void)view, (void)flags, (void)ret;
  return not_a_socket(wasi, fd);
}

uint32_t brig__wasi_sock_recv(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                              uint32_t iovecs, uint32_t count, uint32_t flags, uint32_t ret_size,
                              uint32_t ret_flags) {
  (void)view, (void)iovecs, (void)count, (void)flags, (void)ret_size, (void)ret_flags;
  return not_a_socket(wasi, fd);
}

uint32_t brig__wasi_sock_send(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                              uint32_t iovecs, uint32_t count, uint32_t flags, uint32_t ret) {
  (void)view, (void)iovecs, (void)count, (void)flags, (void)ret;
  return not_a_socket(wasi, fd);
}

uint32_t brig__wasi_sock_shutdown(struct wasi *wasi, const struct wasi_view *view, uint32_t fd,
                                  uint32_t how) {
  (void)view, (void)how;
  return not_a_socket(wasi, fd);
}
