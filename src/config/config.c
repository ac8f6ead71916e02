/* A configuration's life: made of defaults, laid over by a file, the environment
 * and flags, copied, listed and freed. */
#include "config/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"

static void free_config(struct brig_config **config) { brig_config_free(*config); }

void brig_config_free(struct brig_config *config) {
  if (config == NULL) return;
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    brig__config_value_free(&config->settings, &brig__config_keys[i]);
    free(config->origins[i]);
  }
  brig__config_list_free(&config->notices);
  free(config);
}

int brig_config_defaults(struct brig_config **ret_config, struct brig_error *err) {
  static const struct config_source table = {.variable = NULL};
  CLEANUP(free_config) struct brig_config *config = calloc(1, sizeof *config);
  if (config == NULL) return brig__config_no_memory(err);
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_keys[i];
    int rc = brig__config_assign(&config->settings, key, &table, key->default_text, err);
    if (rc < 0) return rc;
  }
  *ret_config = STEAL_PTR(config);
  return 0;
}

/* The file to read, or NULL for none. `ret_optional`: it need not be there. */
static int choose_file(const char *path, const char **ret_file, bool *ret_optional,
                       struct brig_error *err) {
  const char *named = path ? path : getenv("AGENT_CONFIG_PATH");
  if (named != NULL && *named == '\0')
    return brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE,
                      "%s is empty: name a configuration file, or leave it out",
                      path ? "the path of the configuration" : "AGENT_CONFIG_PATH");
  *ret_file = named ? named : "/app/config/agent.yaml";
  *ret_optional = named == NULL;
  return 0;
}

const char *brig__config_file(const char *path) {
  const char *file = NULL;
  bool optional;
  return choose_file(path, &file, &optional, NULL) < 0 ? NULL : file;
}

int brig_config_load(const char *path, struct brig_config **ret_config, struct brig_error *err) {
  CLEANUP(free_config) struct brig_config *config = NULL;
  const char *file = NULL;
  bool optional = false;
  int rc = choose_file(path, &file, &optional, err);
  if (rc == 0) rc = brig_config_defaults(&config, err);
  if (rc == 0) rc = brig__config_read_file(config, file, optional, err);
  if (rc == 0) rc = brig__config_read_environment(config, err);
  if (rc == 0) rc = brig__config_check(config, err);
  if (rc == 0) *ret_config = STEAL_PTR(config);
  return rc;
}

static char *origin_text(const struct config_source *source) {
  if (source->file != NULL) return brig__format("%s:%zu", source->file, source->line);
  return strdup(source->variable ? source->variable : "flag");
}

static void remember(struct brig_config *config, const struct config_key *key, char *origin) {
  char **slot = &config->origins[key - brig__config_keys];
  free(*slot);
  *slot = origin;
}

int brig__config_store(struct brig_config *config, const struct config_key *key,
                       const struct config_source *source, const char *text,
                       struct brig_error *err) {
  CLEANUP_FREE char *origin = origin_text(source);
  if (origin == NULL) return brig__config_no_memory(err);
  int rc = brig__config_assign(&config->settings, key, source, text, err);
  if (rc == 0) remember(config, key, STEAL_PTR(origin));
  return rc;
}

int brig__config_came_from(struct brig_config *config, const struct config_key *key,
                           const struct config_source *source, struct brig_error *err) {
  char *origin = origin_text(source);
  if (origin == NULL) return brig__config_no_memory(err);
  remember(config, key, origin);
  return 0;
}

int brig__config_store_list(struct brig_config *config, const struct config_key *key,
                            const struct config_source *source, struct config_list *list,
                            struct brig_error *err) {
  CLEANUP_FREE char *origin = origin_text(source);
  if (origin == NULL) return brig__config_no_memory(err);
  int rc = brig__config_assign_list(&config->settings, key, source, list, err);
  if (rc == 0) remember(config, key, STEAL_PTR(origin));
  return rc;
}

int brig_config_set(struct brig_config *config, const char *key, const char *value,
                    struct brig_error *err) {
  static const struct config_source flag = {.variable = NULL};
  int index = brig__config_find(key);
  if (index >= 0) return brig__config_store(config, &brig__config_keys[index], &flag, value, err);
  char quoted[CONFIG_TEXT];
  brig__config_quote(key, strlen(key), quoted);
  const char *nearest = brig__config_nearest_key(key);
  return brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE, "unknown key %s%s%s%s", quoted,
                    nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                    nearest ? "\"?" : "");
}

int brig_config_each(const struct brig_config *config,
                     int (*each)(void *context, const struct brig_config_entry *entry),
                     void *context) {
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_keys[i];
    CLEANUP_FREE char *value = brig__config_value_text(&config->settings, key);
    if (value == NULL) return BRIG_E_MEMORY;
    const char *origin = config->origins[i] ? config->origins[i] : "default";
    int rc = each(context, &(struct brig_config_entry){key->full, value, origin, key->help});
    if (rc != 0) return rc;
  }
  return 0;
}

const char *brig_config_notice(const struct brig_config *config, unsigned index) {
  return index < config->notices.count ? config->notices.items[index] : NULL;
}

const struct brig_settings *brig__config_settings(const struct brig_config *config) {
  return &config->settings;
}

static int copy_key(struct brig_config *copy, const struct brig_config *config, int index) {
  const struct config_key *key = &brig__config_keys[index];
  const char *origin = config->origins[index];
  if (origin != NULL && (copy->origins[index] = strdup(origin)) == NULL) return BRIG_E_MEMORY;
  return brig__config_assign_copy(&copy->settings, &config->settings, key);
}

int brig__config_copy(const struct brig_config *config, struct brig_config **ret_copy,
                      struct brig_error *err) {
  CLEANUP(free_config) struct brig_config *copy = calloc(1, sizeof *copy);
  if (copy == NULL) return brig__config_no_memory(err);
  for (int i = 0; i < CONFIG_KEY_COUNT; i++)
    if (copy_key(copy, config, i) < 0) return brig__config_no_memory(err);
  if (brig__config_list_copy(&config->notices, &copy->notices) < 0)
    return brig__config_no_memory(err);
  *ret_copy = STEAL_PTR(copy);
  return 0;
}
