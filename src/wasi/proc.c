#include <sched.h>
#include "wasi/context.h"

/* proc_exit, which does not return, is in calls.c. */

uint32_t brig__wasi_proc_raise(struct wasi *wasi, const struct wasi_view *view, uint32_t signal) {
  (void)wasi, (void)view, (void)signal;
  return WASI_ENOTSUP;
}

uint32_t brig__wasi_sched_yield(struct wasi *wasi, const struct wasi_view *view) {
  (void)wasi, (void)view;
  sched_yield();
  return WASI_ESUCCESS;
}
