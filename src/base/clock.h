/* base/clock.h - the monotonic clock, in the units that Brig counts in. */
#ifndef BRIG_BASE_CLOCK_H
#define BRIG_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t brig__now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

#endif
