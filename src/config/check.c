/* What holds between keys: no default may be above the ceiling that every
 * request is held to, or a request that asks for nothing would be refused. */
#include "config/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/fd.h"

static const struct pair {
  enum config_index key, ceiling;
  bool zero_is_unlimited; /* on both sides */
} pairs[] = {
    {CONFIG_KEY_wasi_memory_limit_bytes, CONFIG_KEY_ceiling_memory_limit_bytes, false},
    {CONFIG_KEY_wasi_execution_timeout, CONFIG_KEY_ceiling_execution_timeout, false},
    {CONFIG_KEY_wasi_max_fuel, CONFIG_KEY_ceiling_max_fuel, true},
    {CONFIG_KEY_wasi_interpreter_max_fuel, CONFIG_KEY_ceiling_max_fuel, true},
    {CONFIG_KEY_wasi_stdout_limit_bytes, CONFIG_KEY_ceiling_output_limit_bytes, false},
    {CONFIG_KEY_wasi_stderr_limit_bytes, CONFIG_KEY_ceiling_output_limit_bytes, false},
    {CONFIG_KEY_wasi_quota_bytes, CONFIG_KEY_ceiling_quota_bytes, false},
    {CONFIG_KEY_wasi_quota_files, CONFIG_KEY_ceiling_quota_files, false},
    {CONFIG_KEY_wasi_table_elements, CONFIG_KEY_ceiling_table_elements, false},
};

static uint64_t effective(const struct brig_config *config, enum config_index index,
                          const struct pair *pair) {
  uint64_t number = brig__config_number(&config->settings, &brig__config_keys[index]);
  return number == 0 && pair->zero_is_unlimited ? UINT64_MAX : number;
}

/* "wasi.max_fuel (0, unmetered; agent.yaml:12)" in fresh memory. */
static char *describe(const struct brig_config *config, enum config_index index,
                      const struct pair *pair) {
  const struct config_key *key = &brig__config_keys[index];
  CLEANUP_FREE char *value = brig__config_value_text(&config->settings, key);
  if (value == NULL) return NULL;
  const char *origin = config->origins[index] ? config->origins[index] : "default";
  bool unlimited = effective(config, index, pair) == UINT64_MAX;
  return brig__format("%s (%s%s; %.200s)", key->full, value, unlimited ? ", unmetered" : "",
                      origin);
}

static int fail(const struct brig_config *config, const struct pair *pair, struct brig_error *err) {
  CLEANUP_FREE char *key = describe(config, pair->key, pair);
  CLEANUP_FREE char *ceiling = describe(config, pair->ceiling, pair);
  if (key == NULL || ceiling == NULL) return brig__config_no_memory(err);
  return brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE,
                    "%s is above %s: lower the one or raise the other", key, ceiling);
}

int brig__config_check(const struct brig_config *config, struct brig_error *err) {
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    const struct pair *pair = &pairs[i];
    if (effective(config, pair->key, pair) > effective(config, pair->ceiling, pair))
      return fail(config, pair, err);
  }
  return 0;
}
