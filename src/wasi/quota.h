/* wasi/quota.h - what a guest may add to its read-write directories: bytes by
 * which files grow, and names it makes. What it removes is given back, but never
 * more than was charged or is known to be there: the directories never grow by more
 * than the quota. */
#ifndef BRIG_WASI_QUOTA_H
#define BRIG_WASI_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include "wasi/preview1.h"

struct quota {
  uint64_t bytes_max, files_max;
  uint64_t bytes, files;           /* charged now */
  uint64_t bytes_peak, files_peak; /* at most, so far */
  uint64_t bytes_held, files_held; /* charged from the beginning */
  bool exceeded;
};

/* Room for `bytes` and `files` beside what is held. */
struct quota brig__quota_new(uint64_t bytes, uint64_t files, uint64_t bytes_held,
                             uint64_t files_held);

/* Charge up to `wanted` bytes; the number granted, 0 when none are left. */
uint64_t brig__quota_take_bytes(struct quota *quota, uint64_t wanted);

/* All or nothing: WASI_ENOSPC, WASI_EDQUOT. */
wasi_errno brig__quota_charge_bytes(struct quota *quota, uint64_t bytes);
wasi_errno brig__quota_charge_file(struct quota *quota);

void brig__quota_refund_bytes(struct quota *quota, uint64_t bytes);
void brig__quota_refund_file(struct quota *quota);

#endif
