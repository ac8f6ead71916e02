/* Sessions of JavaScript, through the same interface as those of Python. */
#include <brig/brig.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fd.h"
#include "support/config.h"
#include "support/processes.h"

static char directory[] = "/var/tmp/brig-session-XXXXXX";
static struct brig_sandbox *sandbox;
static struct brig_sessions *sessions;

static void set(struct brig_config *config, const char *key, const char *name) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  assert_int_equal(brig_config_set(config, key, path, NULL), 0);
}

static void open_sessions(void) {
  struct brig_config *config = NULL;
  struct brig_error err = {0};
  assert_int_equal(brig_config_defaults(&config, &err), 0);
  configure_for_tests(config);
  set(config, "session.workspaces_directory", "workspaces");
  set(config, "session.store", "sessions.db");
  if (brig_sandbox_open(config, &sandbox, &err) < 0) fail_msg("%s", err.message);
  if (brig_sessions_open(sandbox, config, &sessions, &err) < 0) fail_msg("%s", err.message);
  brig_config_free(config);
}

static void close_sessions(void) {
  pid_t pids[16];
  brig_sessions_close(sessions);
  brig_sandbox_close(sandbox);
  assert_int_equal(find_below(getpid(), 1, pids, 16), 0);
}

static int setup(void **state) {
  (void)state;
  strcpy(directory + strlen(directory) - 6, "XXXXXX");
  return mkdtemp(directory) == NULL;
}

static int teardown(void **state) {
  (void)state;
  brig__remove_tree(-1, directory);
  return 0;
}

static struct brig_turn_result *take(const char *id, const char *code, const char *input) {
  struct brig_turn turn = BRIG_TURN_INIT;
  struct brig_turn_result *result = NULL;
  struct brig_error err = {0};
  turn.session = id;
  turn.code = code;
  turn.guest = "quickjs";
  turn.input = input;
  turn.input_size = input == NULL ? 0 : strlen(input);
  turn.limits.timeout_ms = 2000;
  if (brig_session_run(sessions, &turn, &result, &err) < 0) fail_msg("%s", err.message);
  return result;
}

/* Its value is this; NULL: it has none. */
static void gives(const char *id, const char *code, const char *value) {
  struct brig_turn_result *result = take(id, code, NULL);
  if (!result->ended_well)
    fail_msg("%s %.*s", result->run->reason, (int)result->run->stderr_size,
             (const char *)result->run->stderr_data);
  if (result->error_type != NULL) fail_msg("%s", result->traceback);
  if (value == NULL)
    assert_null(result->value);
  else
    assert_string_equal(result->value, value);
  brig_turn_result_free(result);
}

static void does_not_end_well(const char *id, const char *code, enum brig_outcome outcome) {
  struct brig_turn_result *result = take(id, code, NULL);
  assert_false(result->ended_well);
  assert_int_equal(result->run->outcome, outcome);
  brig_turn_result_free(result);
}

static void turns_follow_each_other_and_can_be_undone(void **state) {
  struct brig_session_name name = {.id = "a"};
  (void)state;
  open_sessions();
  gives("a", "let x = 1", NULL);
  gives("a", "x += 1", "2");
  gives("a", "const x = [3]; x", "[ 3 ]");
  assert_int_equal(brig_session_undo(sessions, &name, NULL), 0);
  gives("a", "x", "2");
  close_sessions();
}

static void what_goes_wrong_is_told_and_leaves_the_state(void **state) {
  (void)state;
  open_sessions();
  gives("a", "let x = 1", NULL);
  struct brig_turn_result *result = take("a", "x = 2\nnull.x", NULL);
  assert_true(result->ended_well);
  assert_string_equal(result->error_type, "TypeError");
  assert_non_null(strstr(result->traceback, "<turn>:2"));
  assert_string_equal(result->names[0], "x");
  brig_turn_result_free(result);
  does_not_end_well("a", "x = 3; std.exit(0)", BRIG_OUTCOME_EXITED);
  does_not_end_well("a", "x = 7; (function f() { return f() + 1 })()", BRIG_OUTCOME_TRAPPED);
  does_not_end_well("a", "x = 4; for (;;);", BRIG_OUTCOME_TIMEOUT);
  does_not_end_well("a", "x = 5; await new Promise(() => 0)", BRIG_OUTCOME_EXITED);
  does_not_end_well("a", "x = 6; Promise.reject(7)", BRIG_OUTCOME_EXITED);
  gives("a", "x", "2"); /* what ran before an exception stays */
  close_sessions();
}

static void output_and_input_are_the_turns_own(void **state) {
  (void)state;
  open_sessions();
  struct brig_turn_result *result =
      take("a", "print(std.in.getline()); console.log('b'); std.out.puts('c')", "one\ntwo\n");
  assert_string_equal((const char *)result->run->stdout_data, "one\nb\nc");
  brig_turn_result_free(result);
  result = take("a", "std.in.readAsString()", "three");
  assert_string_equal(result->value, "'three'");
  brig_turn_result_free(result);
  gives("a", "std.in.readAsString()", "''");
  close_sessions();
}

static void a_session_comes_back_after_a_restart(void **state) {
  (void)state;
  open_sessions();
  gives("a", "class P { constructor(n) { this.n = n } twice() { return f(this.n) } }\n"
             "const f = n => 2 * n, x = [new P(8)], y = x, g = Promise.resolve()", NULL);
  close_sessions();
  open_sessions();
  struct brig_turn_result *result = take("a", "[y === x, x[0].twice(), x]", NULL);
  assert_true(result->restored && result->ended_well);
  assert_string_equal(result->value, "[ true, 16, [ P { n: 8 } ] ]");
  assert_int_equal(result->lost_count, 1);
  assert_string_equal(result->lost[0].name, "g");
  brig_turn_result_free(result);
  close_sessions();
}

static void sessions_have_random_numbers_of_their_own(void **state) {
  (void)state;
  open_sessions();
  struct brig_turn_result *one = take("a", "Math.random()", NULL);
  struct brig_turn_result *two = take("b", "Math.random()", NULL);
  assert_string_not_equal(one->value, two->value);
  brig_turn_result_free(one);
  brig_turn_result_free(two);
  close_sessions();
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      ALONE(turns_follow_each_other_and_can_be_undone),
      ALONE(what_goes_wrong_is_told_and_leaves_the_state),
      ALONE(output_and_input_are_the_turns_own),
      ALONE(a_session_comes_back_after_a_restart),
      ALONE(sessions_have_random_numbers_of_their_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
