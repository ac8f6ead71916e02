/* limits/limits.h - what one execution gets: its request's wishes, the
 * operator's defaults where it has none, and never more than the ceilings.
 *
 * Pure functions, for every process: no system call, no allocation, no state.
 */
#ifndef BRIG_LIMITS_LIMITS_H
#define BRIG_LIMITS_LIMITS_H

#include <brig/error.h>
#include <brig/limits.h>
#include <stdbool.h>

/* The fields of struct brig_limits, in its order.
 * X(field, name, unit, key of the default, key of the ceiling). Where the
 * ceiling's key is NULL, the default is the ceiling too: the operator's number
 * is the most, and a request may only ask for less. */
#define BRIG_LIMIT_LIST(X)                                                                        \
  X(timeout_ms, "timeout", MILLISECONDS, "wasi.execution_timeout_secs",                           \
    "ceiling.execution_timeout_secs")                                                             \
  X(memory_bytes, "memory", BYTES, "wasi.memory_limit_bytes", "ceiling.memory_limit_bytes")       \
  X(fuel, "fuel", FUEL, "wasi.max_fuel", "ceiling.max_fuel")                                      \
  X(stdout_bytes, "stdout limit", BYTES, "wasi.stdout_limit_bytes", "ceiling.output_limit_bytes") \
  X(stderr_bytes, "stderr limit", BYTES, "wasi.stderr_limit_bytes", "ceiling.output_limit_bytes") \
  X(quota_bytes, "quota", BYTES, "wasi.quota_bytes", "ceiling.quota_bytes")                       \
  X(quota_files, "quota of files", COUNT, "wasi.quota_files", "ceiling.quota_files")              \
  X(table_elements, "number of table elements", COUNT, "wasi.table_elements",                     \
    "ceiling.table_elements")                                                                     \
  X(instances, "number of instances", COUNT, "wasi.instances", NULL)                              \
  X(tables, "number of tables", COUNT, "wasi.tables", NULL)                                       \
  X(memories, "number of memories", COUNT, "wasi.memories", NULL)                                 \
  X(open_files, "number of open files", COUNT, "wasi.open_files", NULL)

/* The operator's side. `defaults` and `ceilings` are taken as they stand, so a
 * default of 0 bytes of stdout keeps none. Fuel alone is special, as in the
 * configuration: 0 (or BRIG_UNLIMITED) is unmetered as a default, and no ceiling
 * as a ceiling. Ceilings whose key is NULL above are not read. */
struct limit_policy {
  struct brig_limits defaults, ceilings;
  uint64_t interpreter_fuel; /* the default fuel of installed interpreters */
};

/* What `request` (NULL: no wishes) gets. In the result fuel is BRIG_UNLIMITED
 * for an unmetered run, and is never 0. BRIG_E_LIMIT names the limit, the
 * ceiling and its key; BRIG_E_INVALID is for a request whose `size` is not one
 * that this or an older version of the header gives, unless all that is beyond
 * what this version knows is 0. */
int brig__limits_merge(const struct limit_policy *policy, const struct brig_limits *request,
                       bool interpreter, struct brig_limits *ret_effective, struct brig_error *err);

#endif
