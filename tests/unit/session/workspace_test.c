/* What sessions may leave in their workspaces and their users' directories. */
#include "session_fixture.h"

#define MEGABYTE "bytes(1 << 20)"

/* Ends in an exception of this type, for want of room. */
static void is_refused(const char *id, const char *code) {
  struct brig_turn_result *result = take(id, code);
  assert_true(result->ended_well);
  if (result->error_type == NULL) fail_msg("%s: no error", code);
  assert_string_equal(result->error_type, "OSError");
  assert_true(result->run->quota_exceeded);
  brig_turn_result_free(result);
}

static void what_turns_leave_adds_up(void **state) {
  (void)state;
  OPEN("session.workspace_bytes", "3M");
  for (int i = 0; i < 3; i++) {
    char code[64];
    snprintf(code, sizeof code, "open('f%d', 'wb').write(" MEGABYTE ")", i);
    gives("a", code, "1048576");
  }
  is_refused("a", "open('f3', 'wb', 0).write(b'x')");
  gives("b", "open('f', 'wb').write(" MEGABYTE ")", "1048576"); /* each has its own */
  close_sessions();
}

static void a_full_workspace_is_read_removed_from_and_written_anew(void **state) {
  (void)state;
  OPEN("session.workspace_bytes", "1M");
  gives("a", "import os\nopen('f', 'wb').write(" MEGABYTE ")", "1048576");
  gives("a", "len(open('f', 'rb').read())", "1048576");
  gives("a", "open('f', 'wb').write(" MEGABYTE ")", "1048576");
  is_refused("a", "open('f', 'ab', 0).write(b'x')");
  gives("a", "os.remove('f')\nopen('g', 'wb').write(" MEGABYTE ")", "1048576");
  struct brig_turn_result *result = take("a", "os.rename('g', 'f')");
  assert_int_equal(result->run->written_bytes, 0);
  is_well(result, NULL);
  is_refused("a", "open('g', 'wb', 0).write(b'x')");
  close_sessions();
}

static void a_users_directory_is_bounded_for_all_sessions(void **state) {
  (void)state;
  OPEN("session.workspace_bytes", "2M");
  gives("a", "open('/memory/f', 'wb').write(" MEGABYTE ")", "1048576");
  gives("b", "open('/memory/g', 'wb').write(" MEGABYTE ")", "1048576");
  is_refused("c", "open('/memory/h', 'wb', 0).write(b'x')");
  gives("c", "import os\nos.remove('/memory/f')", NULL);
  gives("b", "open('/memory/h', 'wb').write(" MEGABYTE ")", "1048576");
  close_sessions();
}

/* The walls of a session are those of its first turn. */
static void later_turns_may_write_more_than_the_first(void **state) {
  (void)state;
  struct brig_session_name name = {.id = "a"};
  OPEN("session.workspace_bytes", "3M", "wasi.quota_bytes", "1M");
  for (int i = 0; i < 3; i++) gives("a", "open('f', 'ab').write(" MEGABYTE ")", "1048576");
  assert_int_equal(brig_session_save(sessions, &name, 1, NULL), 0);
  gives("a", "import os\nos.path.getsize('f')", "3145728"); /* nothing was left for it */
  gives("a", "os.remove('f')", NULL);
  gives("a", "open('f', 'wb').write(" MEGABYTE ")", "1048576");
  close_sessions();
}

static void what_was_removed_and_is_still_open_counts(void **state) {
  (void)state;
  OPEN("session.workspace_bytes", "2M");
  gives("a",
        "import os\nf = open('f', 'wb')\nf.write(" MEGABYTE ")\nf.flush()\ng = open('f', 'rb')\n"
        "os.remove('f')", NULL);
  gives("a", "open('g', 'wb').write(" MEGABYTE ")", "1048576");
  is_refused("a", "open('h', 'wb', 0).write(b'x')");
  gives("a", "f.close()\ng.close()", NULL);
  gives("a", "open('h', 'wb').write(" MEGABYTE ")", "1048576");
  close_sessions();
}

static void names_are_bounded_too(void **state) {
  (void)state;
  OPEN("session.workspace_files", "8");
  gives("a", "import os\nfor i in range(5): os.mkdir(str(i))", NULL);
  gives("a", "for i in range(3): os.symlink('x', f's{i}')", NULL);
  is_refused("a", "os.mkdir('d')");
  gives("a", "os.rmdir('0')", NULL);
  gives("a", "os.mkdir('d')", NULL);
  close_sessions();
}

static void what_cannot_be_looked_at_is_full(void **state) {
  (void)state;
  OPEN(NULL, NULL);
  gives("a", "import os, shutil\nos.makedirs('d/' * 70)\nopen('f', 'wb', 0).write(b'x')", "1");
  is_refused("a", "open('f', 'ab', 0).write(b'x')");
  gives("a", "shutil.rmtree('d')", NULL);
  gives("a", "open('f', 'ab', 0).write(b'x')", "1");
  close_sessions();
}

static void a_full_workspace_gets_no_file_of_output(void **state) {
  (void)state;
  OPEN("session.workspace_bytes", "1M", "wasi.stdout_limit_bytes", "1000");
  gives("a", "import os\nopen('f', 'wb').write(" MEGABYTE ")", "1048576");
  struct brig_turn_result *result = take("a", "print('a' * 5000)");
  assert_null(result->output_file);
  assert_non_null(strstr((char *)result->run->stdout_data, "bytes are left out here ..."));
  is_well(result, NULL);
  gives("a", "os.listdir()", "['f']");
  close_sessions();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ALONE(what_turns_leave_adds_up),
      ALONE(a_full_workspace_is_read_removed_from_and_written_anew),
      ALONE(a_users_directory_is_bounded_for_all_sessions),
      ALONE(later_turns_may_write_more_than_the_first),
      ALONE(what_was_removed_and_is_still_open_counts),
      ALONE(names_are_bounded_too),
      ALONE(what_cannot_be_looked_at_is_full),
      ALONE(a_full_workspace_gets_no_file_of_output),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
