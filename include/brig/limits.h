/* brig/limits.h - what one execution may use.
 *
 * In a request a field of 0 means "the configured default", and a value above
 * the operator's ceiling is an error that names the ceiling. Where no limit
 * is a sensible wish (fuel), BRIG_UNLIMITED says so.
 */
#ifndef BRIG_LIMITS_H
#define BRIG_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRIG_UNLIMITED UINT64_MAX

struct brig_limits {
  size_t size;             /* sizeof(struct brig_limits): use BRIG_LIMITS_INIT */
  uint64_t timeout_ms;     /* wall time of the run; default 30,000 */
  uint64_t memory_bytes;   /* the guest's linear memory; default 256 MiB */
  uint64_t fuel;           /* instructions, roughly; default 1e9 (modules) or
                              unmetered (installed interpreters); BRIG_UNLIMITED
                              runs unmetered code */
  uint64_t stdout_bytes;   /* kept of stdout, the rest is counted; default 1 MiB */
  uint64_t stderr_bytes;   /* the same for stderr */
  uint64_t quota_bytes;    /* growth of files in read-write directories; default
                              256 MiB */
  uint64_t quota_files;    /* files and directories made there; default 10,000 */
  uint64_t table_elements; /* per table; default 10,000 */
  uint64_t instances;      /* default 10 */
  uint64_t tables;         /* default 10 */
  uint64_t memories;       /* default 4 */
  uint64_t open_files;     /* descriptors the guest may hold; default 256 */
};

#define BRIG_LIMITS_INIT \
  { sizeof(struct brig_limits), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

#ifdef __cplusplus
}
#endif
#endif
