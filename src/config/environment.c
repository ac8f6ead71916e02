/* The environment's variables, laid over the file's values. A variable that is
 * set must say something: an empty one is more likely a mistake of a script than
 * a wish for the default. */
#include "config/internal.h"

#include <stdlib.h>

#include "base/error.h"

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
  return 0;
}
