#include "wasi/quota.h"

static void charge(struct quota *quota, uint64_t bytes) {
  quota->bytes += bytes;
  if (quota->bytes > quota->bytes_peak) quota->bytes_peak = quota->bytes;
}

uint64_t brig__quota_take_bytes(struct quota *quota, uint64_t wanted) {
  uint64_t left = quota->bytes_max - quota->bytes;
  uint64_t granted = wanted < left ? wanted : left;
  if (granted < wanted) quota->exceeded = true;
  charge(quota, granted);
  return granted;
}

wasi_errno brig__quota_charge_bytes(struct quota *quota, uint64_t bytes) {
  if (bytes > quota->bytes_max - quota->bytes) {
    quota->exceeded = true;
    return WASI_ENOSPC;
  }
  charge(quota, bytes);
  return WASI_ESUCCESS;
}

wasi_errno brig__quota_charge_file(struct quota *quota) {
  if (quota->files >= quota->files_max) {
    quota->exceeded = true;
    return WASI_EDQUOT;
  }
  quota->files++;
  if (quota->files > quota->files_peak) quota->files_peak = quota->files;
  return WASI_ESUCCESS;
}

void brig__quota_refund_bytes(struct quota *quota, uint64_t bytes) {
  quota->bytes -= bytes < quota->bytes ? bytes : quota->bytes;
}

void brig__quota_refund_file(struct quota *quota) {
  if (quota->files > 0) quota->files--;
}
