/* brig/config.h - the operator's configuration.
 *
 * In order: brig_config_load(), any number of brig_config_set() (which is what
 * a command-line flag does), brig_sandbox_open(), brig_config_free().
 *
 * The keys, their types, defaults, bounds and environment variables are listed
 * in docs/configuration.md, and by brig_config_each().
 *
 * A configuration may be read from many threads; it must not be changed while
 * another thread uses it. A sandbox copies what it needs when it is opened.
 */
#ifndef BRIG_CONFIG_H
#define BRIG_CONFIG_H

#include <brig/error.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct brig_config;

/* Load the configuration: built-in defaults, then the YAML file, then the
 * environment. `path` NULL means the file named by AGENT_CONFIG_PATH, else
 * /app/config/agent.yaml if there is one, else no file; a file named by `path`
 * or AGENT_CONFIG_PATH must exist. An unknown key in a section of Brig's, a
 * wrong type or a value out of bounds is BRIG_E_CONFIG, with the file, line and
 * key in the message. Free with brig_config_free(). */
BRIG_API int brig_config_load(const char *path, struct brig_config **ret_config,
                              struct brig_error *err);

/* The built-in defaults alone: no file, no environment. */
BRIG_API int brig_config_defaults(struct brig_config **ret_config, struct brig_error *err);

/* Set one key ("wasi.memory_limit_bytes") from text, as a flag does. Sizes take
 * K, M or G. A list is replaced by comma-separated items. */
BRIG_API int brig_config_set(struct brig_config *config, const char *key, const char *value,
                             struct brig_error *err);

/* One effective value, as given to the callback of brig_config_each(). */
struct brig_config_entry {
  const char *key;    /* "wasi.max_fuel" */
  const char *value;  /* as text; valid during the callback */
  const char *origin; /* "default", "agent.yaml:12", "WASI_TIMEOUT_SECONDS"... */
  const char *help;   /* one sentence, with the unit */
};

/* Call `each` for every key in order. Stops at, and returns, the first value
 * other than 0 that `each` returns. */
BRIG_API int brig_config_each(const struct brig_config *config,
                              int (*each)(void *context, const struct brig_config_entry *entry),
                              void *context);

/* Notices of loading (a section that is not Brig's was ignored...), one a call,
 * NULL after the last. The string lives as long as the configuration. */
BRIG_API const char *brig_config_notice(const struct brig_config *config, unsigned index);

BRIG_API void brig_config_free(struct brig_config *config);

#ifdef __cplusplus
}
#endif
#endif
