#include "wasi/quota.h"

static void charge(struct quota *quota, uint64_t bytes) {
  quota->bytes += bytes;
  if (quota->bytes > quota->bytes_peak) quota->bytes_peak = quota->bytes;
}

static uint64_t beside(uint64_t held, uint64_t room) {
  return room < UINT64_MAX - held ? held + room : UINT64_MAX;
}

struct quota brig__quota_new(uint64_t bytes, uint64_t files, uint64_t bytes_held,
                             uint64_t files_held) {
  return (struct quota){.bytes_max = beside(bytes_held, bytes),
                        .files_max = beside(files_held, files),
                        .bytes = bytes_held,
                        .files = files_held,
                        .bytes_peak = bytes_held,
                        .files_peak = files_held,
                        .bytes_held = bytes_held,
                        .files_held = files_held};
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
