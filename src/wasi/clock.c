#include <errno.h>
#include <time.h>
#include "wasi/clock.h"
#include "wasi/context.h"

wasi_errno brig__wasi_clock(uint32_t id, clockid_t *ret_clock) {
  static const clockid_t clocks[] = {
      [WASI_CLOCK_REALTIME] = CLOCK_REALTIME,
      [WASI_CLOCK_MONOTONIC] = CLOCK_MONOTONIC,
      [WASI_CLOCK_PROCESS] = CLOCK_PROCESS_CPUTIME_ID,
      [WASI_CLOCK_THREAD] = CLOCK_THREAD_CPUTIME_ID,
  };
  if (id >= sizeof clocks / sizeof *clocks) return WASI_EINVAL;
  *ret_clock = clocks[id];
  return WASI_ESUCCESS;
}

uint64_t brig__wasi_nanoseconds(const struct timespec *time) {
  if (time->tv_sec < 0) return 0;
  uint64_t nanoseconds;
  if (__builtin_mul_overflow((uint64_t)time->tv_sec, UINT64_C(1000000000), &nanoseconds) ||
      __builtin_add_overflow(nanoseconds, (uint64_t)time->tv_nsec, &nanoseconds))
    return UINT64_MAX;
  return nanoseconds;
}

uint32_t brig__wasi_clock_res_get(struct wasi *wasi, const struct wasi_view *view, uint32_t id,
                                  uint32_t ret) {
  clockid_t clock;
  struct timespec resolution;
  (void)wasi;
  TRY(brig__wasi_clock(id, &clock));
  if (clock_getres(clock, &resolution) < 0) return brig__wasi_errno(errno);
  return brig__mem_store_u64(view, ret, brig__wasi_nanoseconds(&resolution));
}

uint32_t brig__wasi_clock_time_get(struct wasi *wasi, const struct wasi_view *view, uint32_t id,
                                   uint64_t precision, uint32_t ret) {
  clockid_t clock;
  struct timespec now;
  (void)wasi;
  (void)precision; /* we are always as precise as we can be */
  TRY(brig__wasi_clock(id, &clock));
  if (clock_gettime(clock, &now) < 0) return brig__wasi_errno(errno);
  return brig__mem_store_u64(view, ret, brig__wasi_nanoseconds(&now));
}
