/* Which saved sessions stay, and which are removed, in both stores. */
#include "session_fixture.h"

static const char *in_memory;

static int save(const char *id, int leave, struct brig_error *err) {
  struct brig_session_name name = {.id = id};
  return brig_session_save(sessions, &name, leave, err);
}

/* A file, and so much that cannot be saved in less. */
#define FILL "import os\nopen('f', 'w').close()\nx = os.urandom(400000)"

static void fill(const char *id, int leave) {
  struct brig_error err;
  gives(id, FILL, NULL);
  if (save(id, leave, &err) < 0) fail_msg("%s: %s", id, err.message);
}

static void collect(void *context, const struct brig_session_info *info) {
  strcat(strcat(context, info->id), info->live ? "! " : info->saved_bytes > 0 ? " " : "? ");
}

/* The one used last first, with a mark if it is live. */
static void are_there(const char *expected) {
  const struct brig_session_name anybody = {0};
  char found[256] = "";
  assert_int_equal(brig_session_list(sessions, &anybody, collect, found, NULL), 0);
  assert_string_equal(found, expected);
}

static bool has_file(const char *id, const char *name) {
  char command[256];
  snprintf(command, sizeof command, "test -e %s/workspaces/*/*/%s/%s", directory, id, name);
  return system(command) == 0;
}

static bool has_workspace(const char *id) { return has_file(id, "f"); }

#define OPEN_SMALL(...) \
  OPEN("session.in_memory", in_memory, "session.store_bytes", "1M", ##__VA_ARGS__)

static void what_was_used_least_recently_makes_room(void **state) {
  (void)state;
  OPEN_SMALL("session.save_at_once", "false", "session.save_interval_secs", "3600");
  fill("a", 1);
  fill("b", 1);
  gives("a", "len(x)", "400000");
  assert_int_equal(save("a", 1, NULL), 0);
  fill("c", 1);
  are_there("c a ");
  assert_true(has_workspace("a"));
  assert_false(has_workspace("b"));
  struct brig_session_name gone = {.id = "b"};
  char *json = NULL;
  assert_int_equal(brig_session_show(sessions, &gone, &json, NULL), BRIG_E_NOT_FOUND);
  gives("b", "'x' in globals()", "False"); /* it is a new one */
  close_sessions();
}

static void a_session_that_lives_makes_no_room(void **state) {
  (void)state;
  struct brig_error err = {0};
  OPEN_SMALL("session.save_at_once", "false", "session.save_interval_secs", "3600");
  fill("a", 0);
  fill("b", 0);
  gives("c", FILL, NULL);
  assert_int_equal(save("c", 0, &err), BRIG_E_LIMIT);
  assert_non_null(strstr(err.message, "session.store_bytes"));
  are_there("c! b! a! ");
  assert_int_equal(save("a", 1, NULL), 0);
  assert_int_equal(save("c", 0, &err), 0);
  are_there("c! b! ");
  close_sessions();
}

static void what_is_larger_than_the_store_removes_nothing(void **state) {
  (void)state;
  struct brig_error err = {0};
  OPEN_SMALL("session.save_at_once", "false", "session.save_interval_secs", "3600");
  fill("a", 1);
  gives("b", "import os\nx = os.urandom(1 << 20)", NULL);
  assert_int_equal(save("b", 0, &err), BRIG_E_TOO_LARGE);
  assert_non_null(strstr(err.message, "1048576 may be kept (session.store_bytes)"));
  are_there("b! a ");
  close_sessions();
}

static void workspaces_stay_if_they_are_kept(void **state) {
  (void)state;
  OPEN_SMALL("session.save_at_once", "false", "session.save_interval_secs", "3600",
             "session.keep_workspaces", "true");
  fill("a", 1);
  fill("b", 1);
  fill("c", 1);
  are_there("c b ");
  assert_true(has_workspace("a"));
  close_sessions();
}

/* Other sessions of the same store stand for another process: they exclude each other. */
static void what_another_process_has_makes_no_room(void **state) {
  (void)state;
  OPEN("session.store_bytes", "1M", "session.save_at_once", "false");
  struct brig_sandbox *sandbox_here = sandbox;
  struct brig_sessions *here = sessions;
  fill("a", 0);
  OPEN("session.store_bytes", "1M", "session.save_at_once", "false");
  fill("b", 1);
  fill("c", 1);
  are_there("c a ");
  brig_sessions_close(sessions);
  brig_sandbox_close(sandbox);
  sandbox = sandbox_here;
  sessions = here;
  gives("a", "len(x), os.listdir()", "(400000, ['f'])");
  close_sessions();
}

/* Saved, ended and removed without a pause; the turn finds its files, whenever it begins. */
static void what_expires_is_removed_under_no_turn(void **state) {
  (void)state;
  OPEN("session.in_memory", in_memory, "session.save_at_once", "false",
       "session.save_interval_secs", "0.001",
       "session.timeout_secs", "0.001", "session.kept_secs", "0.001");
  unsigned anew = 0;
  for (int tries = 0; tries < 2000 && anew < 50; tries++) {
    struct brig_turn_result *result =
        take("a", "import time\nopen('f', 'w').write('here')\ntime.sleep(0.003)\nopen('f').read()");
    anew += result->turn == 1;
    is_well(result, "'here'");
    usleep((useconds_t)(random() % 30000));
  }
  assert_int_equal(anew, 50);
  close_sessions();
}

static void a_workspace_without_a_state_is_not_left_behind(void **state) {
  struct brig_session_name name = {.id = "a"};
  struct brig_turn turn = turn_of("b", "1");
  struct brig_turn_result *result = NULL;
  (void)state;
  OPEN("session.in_memory", in_memory);
  brig_turn_result_free(take("a", "import os\nopen('f', 'w').close()\nos._exit(0)"));
  are_there("a? ");
  gives("a", "import os\nos.listdir()", "['f']");
  are_there("a! ");
  assert_int_equal(brig_session_drop(sessions, &name, NULL), 0);
  assert_false(has_workspace("a"));
  turn.guest = "nobody"; /* nor one that never ran */
  assert_true(brig_session_run(sessions, &turn, &result, NULL) < 0);
  are_there("");
  assert_false(has_file("b", ""));
  close_sessions();
}

/* Saving asks for no more than the operator gives. */
static void ceilings_do_not_keep_from_saving(void **state) {
  (void)state;
  OPEN("session.in_memory", in_memory, "wasi.execution_timeout_secs", "10",
       "ceiling.execution_timeout_secs", "10");
  struct brig_turn_result *result = take("a", "x = 1");
  if (!result->saved) fail_msg("%s", result->unsaved);
  is_well(result, NULL);
  assert_int_equal(save("a", 1, NULL), 0);
  gives("a", "x", "1");
  close_sessions();
}

#define TESTS                                                                           \
  ALONE(what_was_used_least_recently_makes_room),                                       \
      ALONE(a_session_that_lives_makes_no_room),                                        \
      ALONE(what_is_larger_than_the_store_removes_nothing),                             \
      ALONE(workspaces_stay_if_they_are_kept), ALONE(ceilings_do_not_keep_from_saving), \
      ALONE(a_workspace_without_a_state_is_not_left_behind),                            \
      ALONE(what_expires_is_removed_under_no_turn)

int main(void) {
  const struct CMUnitTest tests[] = {TESTS};
  const struct CMUnitTest shared[] = {ALONE(what_another_process_has_makes_no_room)};
  in_memory = "true";
  int failed = cmocka_run_group_tests_name("in memory", tests, NULL, NULL);
  in_memory = "false";
  failed += cmocka_run_group_tests_name("in a file", tests, NULL, NULL);
  return failed + cmocka_run_group_tests_name("in a file of two", shared, NULL, NULL);
}
