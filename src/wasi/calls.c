#include "wasi/context.h"

#define u(n) (uint32_t) args[n]
#define U(n) args[n]
#define X(name, params, ...)                                                   \
  static uint32_t call_##name(struct wasi *wasi, const struct wasi_view *view, \
                              const uint64_t *args) {                          \
    (void)args;                                                                \
    return brig__wasi_##name(wasi, view, ##__VA_ARGS__);                       \
  }
#include "wasi/preview1.def"
#undef X
#undef U
#undef u

static uint32_t call_proc_exit(struct wasi *wasi, const struct wasi_view *view,
                               const uint64_t *args) {
  (void)view;
  wasi->exit_code = (uint32_t)args[0];
  return WASI_EXITED;
}

const struct wasi_call brig__wasi_calls[] = {
#define X(name, params, ...) {#name, params, true, call_##name},
#include "wasi/preview1.def"
#undef X
    {"proc_exit", "i", false, call_proc_exit},
};
const size_t brig__wasi_call_count = sizeof brig__wasi_calls / sizeof *brig__wasi_calls;

_Static_assert(sizeof brig__wasi_calls / sizeof *brig__wasi_calls == 46, "all of preview 1");

uint32_t brig__wasi_exit_code(const struct wasi *wasi) { return wasi->exit_code; }
