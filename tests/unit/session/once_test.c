/* Turns that leave no session, and whose interpreter a session is of. */
#include <brig/brig.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fd.h"
#include "support/config.h"

static char directory[] = "/var/tmp/brig-once-XXXXXX";
static struct brig_sandbox *sandbox;
static struct brig_sessions *sessions;

static int setup(void **state) {
  (void)state;
  struct brig_config *config = NULL;
  struct brig_error err = {0};
  assert_non_null(mkdtemp(directory));
  assert_int_equal(brig_config_defaults(&config, &err), 0);
  configure_for_tests(config);
  assert_int_equal(brig_config_set(config, "session.workspaces_directory", directory, &err), 0);
  assert_int_equal(brig_config_set(config, "session.in_memory", "true", &err), 0);
  assert_int_equal(brig_config_set(config, "session.keep_workspaces", "true", &err), 0);
  assert_int_equal(brig_config_set(config, "session.save_interval_secs", "0", &err), 0);
  if (brig_sandbox_open(config, &sandbox, &err) < 0 ||
      brig_sessions_open(sandbox, config, &sessions, &err) < 0)
    fail_msg("%s", err.message);
  brig_config_free(config);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  brig_sessions_close(sessions);
  brig_sandbox_close(sandbox);
  brig__remove_tree(-1, directory);
  return 0;
}

static void count(void *context, const struct brig_session_info *info) {
  (void)info;
  ++*(int *)context;
}

static int sessions_there(void) {
  struct brig_session_name nobody = {0};
  int there = 0;
  assert_int_equal(brig_session_list(sessions, &nobody, count, &there, NULL), 0);
  return there;
}

static void a_turn_that_is_the_only_one_leaves_nothing(void **state) {
  (void)state;
  struct brig_turn turn = BRIG_TURN_INIT;
  struct brig_turn_result *result = NULL;
  struct brig_error err;
  char command[128];
  turn.code = "open('f', 'w').write('abc')";
  turn.once = 1;
  if (brig_session_run(sessions, &turn, &result, &err) < 0) fail_msg("%s", err.message);
  assert_true(result->ended_well);
  assert_string_equal(result->value, "3");
  assert_int_equal(result->turn, 1);
  brig_turn_result_free(result);
  assert_int_equal(sessions_there(), 0);
  snprintf(command, sizeof command, "test -z \"$(ls %s/*/*)\"", directory);
  assert_int_equal(system(command), 0);
}

static void it_has_no_name(void **state) {
  (void)state;
  struct brig_turn turn = BRIG_TURN_INIT;
  struct brig_turn_result *result = NULL;
  turn.session = "a";
  turn.code = "1";
  turn.once = 1;
  assert_int_equal(brig_session_run(sessions, &turn, &result, NULL), BRIG_E_INVALID);
  assert_int_equal(sessions_there(), 0);
}

static void a_session_is_one_interpreters(void **state) {
  (void)state;
  struct brig_turn turn = BRIG_TURN_INIT;
  struct brig_turn_result *result = NULL;
  struct brig_error err;
  turn.session = "b";
  turn.code = "1";
  assert_int_equal(brig_session_run(sessions, &turn, &result, NULL), 0);
  brig_turn_result_free(result);
  turn.guest = "python-science";
  assert_int_equal(brig_session_run(sessions, &turn, &result, &err), BRIG_E_INVALID);
  assert_string_equal(err.message, "the session b is one of python, not of python-science");
  turn.guest = "python";
  assert_int_equal(brig_session_run(sessions, &turn, &result, NULL), 0);
  assert_int_equal(result->turn, 2);
  brig_turn_result_free(result);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_turn_that_is_the_only_one_leaves_nothing),
      cmocka_unit_test(it_has_no_name),
      cmocka_unit_test(a_session_is_one_interpreters),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
