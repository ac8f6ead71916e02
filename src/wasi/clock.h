/* wasi/clock.h - clocks and times, for wasi/ alone. */
#ifndef BRIG_WASI_CLOCK_H
#define BRIG_WASI_CLOCK_H

#include <time.h>
#include "wasi/preview1.h"

/* The host's clock for a guest's id, or WASI_EINVAL. */
wasi_errno brig__wasi_clock(uint32_t id, clockid_t *ret_clock);

/* Clamped: before 1970 is 0, too late is the last moment there is. */
uint64_t brig__wasi_nanoseconds(const struct timespec *time);

#endif
