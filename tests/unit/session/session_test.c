/* Sessions as programs use them: real processes, a real store. */
#include "session/workspace.h"
#include "session_fixture.h"

static int undo(const char *id) {
  struct brig_session_name name = {.id = id};
  return brig_session_undo(sessions, &name, NULL);
}

static void turns_follow_each_other_and_can_be_undone(void **state) {
  (void)state;
  OPEN("session.undo", "2");
  gives("a", "x = 1", NULL);
  gives("a", "x += 1\nx", "2");
  gives("a", "x += 1\nx", "3");
  assert_int_equal(undo("a"), 0);
  gives("a", "x", "2");
  assert_int_equal(undo("a"), 0);
  assert_int_equal(undo("a"), 0);
  gives("a", "x", "1");
  assert_int_equal(undo("nobody"), BRIG_E_NOT_FOUND);
  close_sessions();
}

static void what_goes_wrong_is_told_and_leaves_the_state(void **state) {
  (void)state;
  OPEN();
  gives("a", "x = 1", NULL);
  struct brig_turn_result *result = take("a", "x = 2\n1 / 0");
  assert_true(result->ended_well);
  assert_string_equal(result->error_type, "ZeroDivisionError");
  assert_non_null(strstr(result->traceback, "1 / 0"));
  assert_string_equal(result->names[0], "x");
  brig_turn_result_free(result);
  gives("a", "x", "2"); /* what ran before an exception stays */
  result = take("a", "x = 3\nwhile True: pass");
  assert_false(result->ended_well);
  assert_int_equal(result->run->outcome, BRIG_OUTCOME_TIMEOUT);
  brig_turn_result_free(result);
  result = take("a", "x = 4\nimport os\nos._exit(0)");
  assert_false(result->ended_well);
  brig_turn_result_free(result);
  gives("a", "x", "2");
  close_sessions();
}

static void a_session_comes_back_after_a_restart(void **state) {
  (void)state;
  OPEN();
  gives("a", "import math\nclass P:\n  def __init__(self, n): self.n = n\n"
             "def f(n): return math.sqrt(n)\nx = [P(16)]\ny = x\ng = (n for n in 'a')", NULL);
  close_sessions();
  OPEN();
  struct brig_turn_result *result = take("a", "y is x, f(x[0].n)");
  assert_true(result->restored && result->ended_well);
  assert_string_equal(result->value, "(True, 4.0)");
  assert_int_equal(result->lost_count, 1);
  assert_string_equal(result->lost[0].name, "g");
  assert_int_equal(result->turn, 2);
  brig_turn_result_free(result);
  close_sessions();
}

static void what_an_undo_led_to_is_what_is_saved(void **state) {
  struct brig_session_name name = {.id = "a"};
  (void)state;
  OPEN();
  gives("a", "x = 1", NULL);
  gives("a", "x = 2", NULL);
  assert_int_equal(brig_session_save(sessions, &name, 0, NULL), 0);
  assert_int_equal(undo("a"), 0);
  gives("a", "x += 10", NULL);
  close_sessions();
  OPEN();
  gives("a", "x", "11");
  close_sessions();
}

static void a_branch_goes_its_own_way(void **state) {
  (void)state;
  struct brig_session_name name = {.id = "a"};
  struct brig_error err;
  char *id = NULL;
  OPEN();
  gives("a", "x = 1", NULL);
  if (brig_session_branch(sessions, &name, NULL, &id, &err) < 0) fail_msg("%s", err.message);
  gives(id, "x += 10\nx", "11");
  gives("a", "x", "1");
  assert_int_equal(brig_session_branch(sessions, &name, id, NULL, NULL), BRIG_E_INVALID);
  close_sessions();
  OPEN();
  gives(id, "x", "11");
  free(id);
  close_sessions();
}

static void files_are_told_once_and_removed_with_the_session(void **state) {
  (void)state;
  struct brig_session_name name = {.id = "a"};
  OPEN();
  struct brig_turn_result *result =
      take("a", "import os\nos.mkdir('d')\nopen('d/f', 'w').write('abc')");
  assert_int_equal(result->file_count, 1);
  assert_string_equal(result->files[0].path, "d/f");
  assert_int_equal(result->files[0].size, 3);
  brig_turn_result_free(result);
  result = take("a", "open('/workspace/d/f').read()");
  assert_int_equal(result->file_count, 0);
  assert_string_equal(result->value, "'abc'");
  brig_turn_result_free(result);
  assert_int_equal(brig_session_drop(sessions, &name, NULL), 0);
  assert_int_equal(brig_session_drop(sessions, &name, NULL), BRIG_E_NOT_FOUND);
  gives("a", "import os\nos.listdir('.')", "[]");
  close_sessions();
}

static void long_output_is_kept_in_a_file(void **state) {
  (void)state;
  OPEN("wasi.stdout_limit_bytes", "1000");
  struct brig_turn_result *result = take("a", "print('a' * 5000 + 'end')");
  assert_true(result->run->stdout_size < 1200);
  assert_non_null(strstr((char *)result->run->stdout_data, "end\n"));
  assert_non_null(strstr((char *)result->run->stdout_data, "bytes are left out"));
  assert_string_equal(result->output_file, "stdout-1.txt");
  brig_turn_result_free(result);
  gives("a", "len(open('stdout-1.txt').read())", "5004");
  close_sessions();
}

static void every_python_has_sessions(void **state) {
  (void)state;
  static const char *const guests[] = {"python@3.12.0", "python-science"};
  OPEN();
  for (int i = 0; i < 2; i++) {
    struct brig_turn turn = turn_of(i == 0 ? "a" : "b", "import math\nx = 41");
    struct brig_session_name name = {.id = turn.session};
    turn.guest = guests[i];
    turn.limits.timeout_ms = 0;
    is_well(run(&turn), NULL);
    gives(turn.session, "x += 1\nx", "42");
    assert_int_equal(brig_session_save(sessions, &name, 1, NULL), 0);
    gives(turn.session, "math.floor(x)", "42");
  }
  close_sessions();
}

static void another_user_finds_nothing(void **state) {
  (void)state;
  struct brig_session_name other = {.tenant = "t", .user = "u", .id = "a"};
  char *json = NULL;
  OPEN();
  gives("a", "secret = 1", NULL);
  assert_int_equal(brig_session_show(sessions, &other, &json, NULL), BRIG_E_NOT_FOUND);
  assert_int_equal(brig_session_drop(sessions, &other, NULL), BRIG_E_NOT_FOUND);
  assert_int_equal(brig_session_save(sessions, &other, 1, NULL), BRIG_E_NOT_FOUND);
  other.tenant = other.user = NULL;
  assert_int_equal(brig_session_show(sessions, &other, &json, NULL), 0);
  assert_non_null(strstr(json, "secret"));
  free(json);
  close_sessions();
}

static void hostile_ids_are_refused(void **state) {
  (void)state;
  static const char *const ids[] = {"", "..", ".x", "a/b", "a..b", "%2e\n", "a b", "\xc3\xa9"};
  char long_id[130];
  OPEN();
  memset(long_id, 'a', sizeof long_id);
  long_id[129] = '\0';
  for (size_t i = 0; i <= sizeof ids / sizeof *ids; i++) {
    struct brig_turn turn = BRIG_TURN_INIT;
    struct brig_turn_result *result;
    turn.session = i < sizeof ids / sizeof *ids ? ids[i] : long_id;
    turn.code = "1";
    assert_int_equal(brig_session_run(sessions, &turn, &result, NULL), BRIG_E_INVALID);
  }
  close_sessions();
}

static void a_workspace_made_a_link_is_refused(void **state) {
  (void)state;
  char command[256];
  struct brig_turn turn = BRIG_TURN_INIT;
  struct brig_turn_result *result;
  OPEN();
  gives("a", "1", "1");
  snprintf(command, sizeof command, "cd %s/workspaces/*/*/ && rm -r a && ln -s /etc a", directory);
  assert_int_equal(system(command), 0);
  turn.session = "a";
  turn.code = "1";
  assert_int_equal(brig_session_run(sessions, &turn, &result, NULL), BRIG_E_PERMISSION);
  close_sessions();
}

static void the_oldest_leaves_and_comes_back(void **state) {
  (void)state;
  OPEN("session.max_live", "2");
  gives("a", "x = 1", NULL);
  gives("b", "x = 2", NULL);
  gives("c", "x = 3", NULL);
  pid_t pids[64];
  usleep(200 * 1000);
  assert_int_equal(find_below(getpid(), 3, pids, 64), 2);
  gives("a", "x", "1");
  gives("c", "x", "3");
  gives("b", "x", "2");
  close_sessions();
}

static void *count_up(void *unused) {
  for (int i = 0; i < 10; i++) brig_turn_result_free(take("a", "x += 1"));
  return unused;
}

static void turns_of_one_session_take_turns(void **state) {
  (void)state;
  pthread_t threads[4];
  OPEN();
  gives("a", "x = 0", NULL);
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, count_up, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  gives("a", "x", "40");
  close_sessions();
}

static void expect_counts(uint64_t live, uint64_t saved) {
  struct brig_session_counts counts = BRIG_SESSION_COUNTS_INIT;
  brig_sessions_counts(sessions, &counts);
  for (int i = 0; i < 1000 && counts.saved != saved; i++) { /* until it was tidied */
    usleep(10 * 1000);
    brig_sessions_counts(sessions, &counts);
  }
  assert_int_equal(counts.live, live);
  assert_int_equal(counts.saved, saved);
}

static void live_and_saved_ones_are_counted(void **state) {
  (void)state;
  struct brig_session_name name = {.id = "a"};
  OPEN("session.save_interval_secs", "0.05");
  expect_counts(0, 0);
  gives("a", "x = 1", NULL);
  gives("b", "x = 2", NULL);
  expect_counts(2, 2);
  assert_int_equal(brig_session_save(sessions, &name, 1, NULL), 0);
  expect_counts(1, 2);
  close_sessions();
  OPEN("session.save_interval_secs", "3600"); /* it is not tidied meanwhile */
  expect_counts(0, 2);
  close_sessions();
}

/* Those of which there never was a session, too. */
static void workspaces_that_nobody_uses_are_removed(void **state) {
  (void)state;
  char path[128], other[128], *workspace = NULL, *memory = NULL;
  snprintf(path, sizeof path, "%s/workspaces", directory);
  assert_int_equal(brig__workspace_open(path, "owner", "old", &workspace, &memory, NULL), 0);
  snprintf(other, sizeof other, "%s/workspaces/elsewhere", directory);
  assert_int_equal(symlink("/", other), 0);
  sleep(3); /* times of files are compared in whole seconds, and kept to one */
  OPEN("session.kept_secs", "0.001", "session.timeout_secs", "0.001",
       "wasi.execution_timeout_secs", "0.001", "ceiling.execution_timeout_secs", "0.001",
       "session.save_interval_secs", "0.05");
  for (int i = 0; i < 200 && access(workspace, F_OK) == 0; i++) usleep(50000);
  assert_int_not_equal(access(workspace, F_OK), 0);
  assert_int_equal(access(memory, F_OK), 0);
  close_sessions();
  free(workspace);
  free(memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ALONE(turns_follow_each_other_and_can_be_undone),
      ALONE(what_goes_wrong_is_told_and_leaves_the_state),
      ALONE(a_session_comes_back_after_a_restart),
      ALONE(what_an_undo_led_to_is_what_is_saved),
      ALONE(a_branch_goes_its_own_way),
      ALONE(files_are_told_once_and_removed_with_the_session),
      ALONE(long_output_is_kept_in_a_file),
      ALONE(every_python_has_sessions),
      ALONE(live_and_saved_ones_are_counted),
      ALONE(workspaces_that_nobody_uses_are_removed),
      ALONE(another_user_finds_nothing),
      ALONE(hostile_ids_are_refused),
      ALONE(a_workspace_made_a_link_is_refused),
      ALONE(the_oldest_leaves_and_comes_back),
      ALONE(turns_of_one_session_take_turns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
