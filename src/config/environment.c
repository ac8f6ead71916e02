/* The environment's variables, laid over the file's values. A variable that is
 * set must say something: an empty one is more likely a mistake of a script than
 * a wish for the default. */
#include "config/internal.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/fd.h"

static int notice_ignored(struct brig_config *config, struct brig_error *err) {
  static const char *const ignored[] = {
#define IGNORED(section, name)
#define IGNORED_VARIABLE(name) #name,
#include "config/ignored_keys.def"
  };
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
    if (getenv(ignored[i]) == NULL) continue;
    CLEANUP_FREE char *notice =
        brig__format("%s says nothing to Brig, and was ignored", ignored[i]);
    if (notice == NULL || brig__config_list_add(&config->notices, notice) < 0)
      return brig__config_no_memory(err);
  }
  return 0;
}

int brig__config_read_environment(struct brig_config *config, struct brig_error *err) {
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_keys[i];
    const struct config_source source = {.variable = key->environment};
    const char *value = key->environment ? getenv(key->environment) : NULL;
    if (value == NULL) continue;
    if (*value == '\0')
      return brig__config_mismatch(key, &source, "an empty one; unset it for the default", err);
    int rc = brig__config_store(config, key, &source, value, err);
    if (rc < 0) return rc;
  }
  return notice_ignored(config, err);
}
