/* config/config.h - the configuration as the rest of Brig reads it. Runs in the
 * host; <brig/config.h> loads, changes and frees it.
 *
 * A new key is a new row of keys.def, and nothing else.
 */
#ifndef BRIG_CONFIG_CONFIG_H
#define BRIG_CONFIG_CONFIG_H

#include <brig/config.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `items` ends with a NULL that is not counted; it is NULL for an empty list. */
struct config_list {
  char **items;
  size_t count;
};

#define CONFIG_FIELD_U64(name)       uint64_t name;
#define CONFIG_FIELD_SIZE(name)      uint64_t name;
#define CONFIG_FIELD_SECONDS(name)   uint64_t name##_ms;
#define CONFIG_FIELD_FRACTION(name)  uint64_t name##_permille;
#define CONFIG_FIELD_BOOL(name)      bool name;
#define CONFIG_FIELD_STRING(name)    char *name;
#define CONFIG_FIELD_LINES(name)     char *name;
#define CONFIG_FIELD_PATH(name)      char *name;
#define CONFIG_FIELD_LIST(name)      struct config_list name;
#define CONFIG_FIELD_TEMPLATES(name) struct config_templates name;

/* One of templates.named. */
struct config_template {
  char *name;
#define KEY(type, name, ...) CONFIG_FIELD_##type(name)
#include "config/template_keys.def"
};

struct config_templates {
  struct config_template *items;
  size_t count;
};

/* Every key as a typed field: wasi.max_fuel is `wasi_max_fuel`. A time is in
 * milliseconds: wasi.execution_timeout_secs is `wasi_execution_timeout_ms`; a fraction in
 * thousandths, `..._permille`. A string is never NULL. */
struct brig_settings {
#define SECTION(name, help)
#define KEY(type, section, name, ...) CONFIG_FIELD_##type(section##_##name)
#include "config/keys.def"
};

/* The values. They live, and may be read, as long as the configuration. */
const struct brig_settings *brig__config_settings(const struct brig_config *config);

/* A configuration of one's own, with origins and notices. */
int brig__config_copy(const struct brig_config *config, struct brig_config **ret_copy,
                      struct brig_error *err);

/* Check what no single key can be checked for: that no default is above its
 * ceiling. Loading does it; whoever takes a configuration that flags may have
 * changed since does it again. BRIG_E_CONFIG names both keys. */
int brig__config_check(const struct brig_config *config, struct brig_error *err);

/* The file that brig_config_load(path) reads, if it is there; of the caller or the
 * environment. */
const char *brig__config_file(const char *path);

/* Where things are kept: the configured directory, else what systemd or the XDG
 * variables say, else the usual place under the home directory. Fresh memory,
 * an absolute path; nothing is created. BRIG_E_CONFIG if there is no home, with
 * the key to set. */
int brig__config_cache_directory(const struct brig_config *config, char **ret_path,
                                 struct brig_error *err);
int brig__config_guests_directory(const struct brig_config *config, char **ret_path,
                                  struct brig_error *err);
int brig__config_workspaces_directory(const struct brig_config *config, char **ret_path,
                                      struct brig_error *err);
int brig__config_session_store(const struct brig_config *config, char **ret_path,
                               struct brig_error *err);

/* Where the server listens for this user's own commands: NULL for server.socket = none.
 * BRIG_E_CONFIG too if it is no absolute path. A usual place may be too long for a socket. */
int brig__config_socket(const struct brig_config *config, char **ret_path, struct brig_error *err);

/* The file of what was typed at prompts: no key says where, else likewise. */
int brig__config_history(char **ret_path, struct brig_error *err);

/* A key that the command line can set. The strings live as long as the program. */
struct config_flag {
  const char *flag;          /* "--memory" */
  const char *key;           /* "wasi.memory_limit_bytes", for brig_config_set() */
  const char *placeholder;   /* "SIZE" */
  const char *default_value; /* "256M" */
  const char *help;          /* one sentence, with the unit */
};

/* The flags in order: false, and nothing filled, after the last. */
bool brig__config_flag(size_t index, struct config_flag *ret_flag);

/* The key that `flag` ("--memory") sets, or NULL. */
const char *brig__config_key_for_flag(const char *flag);

#endif
