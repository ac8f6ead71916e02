/* support/config.h - what tests of the library set: no directories of the host's, and the
 * helper that a sanitizer build is told to use. */
#ifndef BRIG_TESTS_CONFIG_H
#define BRIG_TESTS_CONFIG_H

#include <brig/config.h>
#include <stdlib.h>

static void configure_for_tests(struct brig_config *config) {
  struct brig_error err = {0};
  const char *helper = getenv("BRIG_TEST_HELPER");
  assert_int_equal(brig_config_set(config, "wasi.allowed_paths", "", &err), 0);
  if (helper != NULL) assert_int_equal(brig_config_set(config, "sandbox.helper", helper, &err), 0);
}

#endif
