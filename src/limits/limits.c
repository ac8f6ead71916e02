/* Merging a request's limits with the operator's. */
#include "limits/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define STAGE "limits"
/* No version of the structure will be larger; a number beyond it is garbage, and
 * reading that far would be a mistake. */
#define SIZE_BOUND 4096

enum unit { UNIT_MILLISECONDS, UNIT_BYTES, UNIT_FUEL, UNIT_COUNT };

static const struct row {
  size_t offset;
  const char *name;
  enum unit unit;
  const char *key, *ceiling_key; /* the latter NULL: `key` is the ceiling too */
} rows[] = {
#define ROW(field, name, unit, key, ceiling) \
  {offsetof(struct brig_limits, field), name, UNIT_##unit, key, ceiling},
    BRIG_LIMIT_LIST(ROW)
#undef ROW
};

#define ROW_COUNT (sizeof rows / sizeof *rows)

_Static_assert(offsetof(struct brig_limits, timeout_ms) + ROW_COUNT * sizeof(uint64_t) ==
                   sizeof(struct brig_limits),
               "every field of struct brig_limits has its row");

static uint64_t get(const struct brig_limits *limits, const struct row *row) {
  uint64_t value;
  memcpy(&value, (const char *)limits + row->offset, sizeof value);
  return value;
}

static void set(struct brig_limits *limits, const struct row *row, uint64_t value) {
  memcpy((char *)limits + row->offset, &value, sizeof value);
}

static bool all_zero(const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != 0) return false;
  return true;
}

/* A request made by another version of the header, as one of this version. A
 * newer one may only hold what this version knows: a limit that cannot be kept
 * must not be passed over. */
static int read_request(const struct brig_limits *request, struct brig_limits *ret_known,
                        struct brig_error *err) {
  struct brig_limits known = {0};
  size_t first = offsetof(struct brig_limits, timeout_ms), size = request->size;
  if (size < first || size > SIZE_BOUND || (size - first) % sizeof(uint64_t) != 0)
    return brig__fail(err, BRIG_E_INVALID, STAGE,
                      "limits with a size of %zu; begin them with BRIG_LIMITS_INIT", size);
  size_t shared = size < sizeof known ? size : sizeof known;
  if (!all_zero((const char *)request + shared, size - shared))
    return brig__fail(err, BRIG_E_INVALID, STAGE,
                      "limits hold one that this version of Brig, %s, does not know", BRIG_VERSION);
  memcpy(&known, request, shared);
  known.size = sizeof known;
  *ret_known = known;
  return 0;
}

#define TEXT 64

static void bytes_text(uint64_t bytes, char ret_text[TEXT]) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  for (; unit < 5 && bytes != 0 && bytes % 1024 == 0; unit++) bytes /= 1024;
  snprintf(ret_text, TEXT, "%" PRIu64 " %s", bytes, units[unit]);
}

static void value_text(uint64_t value, enum unit unit, char ret_text[TEXT]) {
  if (value == BRIG_UNLIMITED)
    snprintf(ret_text, TEXT, "\"unlimited\"");
  else if (unit == UNIT_BYTES)
    bytes_text(value, ret_text);
  else if (unit == UNIT_MILLISECONDS && value % 1000 == 0)
    snprintf(ret_text, TEXT, "%" PRIu64 " s", value / 1000);
  else
    snprintf(ret_text, TEXT, "%" PRIu64 "%s", value, unit == UNIT_MILLISECONDS ? " ms" : "");
}

static int refuse(const struct row *row, bool asked, uint64_t value, uint64_t ceiling,
                  struct brig_error *err) {
  char value_shown[TEXT], ceiling_shown[TEXT];
  value_text(value, row->unit, value_shown);
  value_text(ceiling, row->unit, ceiling_shown);
  return brig__fail(err, BRIG_E_LIMIT, STAGE,
                    "%s%s of %s is above the operator's ceiling of %s (%s)",
                    asked ? "" : "default ", row->name, value_shown, ceiling_shown,
                    row->ceiling_key ? row->ceiling_key : row->key);
}

/* 0 is how the configuration says "unlimited" of fuel. */
static uint64_t operators(uint64_t value, const struct row *row) {
  return row->unit == UNIT_FUEL && value == 0 ? BRIG_UNLIMITED : value;
}

static uint64_t fallback(const struct limit_policy *policy, const struct row *row,
                         bool interpreter) {
  bool other = interpreter && row->unit == UNIT_FUEL;
  return operators(other ? policy->interpreter_fuel : get(&policy->defaults, row), row);
}

static uint64_t ceiling_of(const struct limit_policy *policy, const struct row *row) {
  return operators(get(row->ceiling_key ? &policy->ceilings : &policy->defaults, row), row);
}

int brig__limits_merge(const struct limit_policy *policy, const struct brig_limits *request,
                       bool interpreter, struct brig_limits *ret_effective,
                       struct brig_error *err) {
  struct brig_limits wished = BRIG_LIMITS_INIT, effective = BRIG_LIMITS_INIT;
  int rc = request == NULL ? 0 : read_request(request, &wished, err);
  if (rc < 0) return rc;
  for (size_t i = 0; i < ROW_COUNT; i++) {
    const struct row *row = &rows[i];
    uint64_t wish = get(&wished, row), ceiling = ceiling_of(policy, row);
    uint64_t value = wish != 0 ? wish : fallback(policy, row, interpreter);
    if (value > ceiling) return refuse(row, wish != 0, value, ceiling, err);
    set(&effective, row, value);
  }
  *ret_effective = effective;
  return 0;
}
