/* Values that attack what saves them, or brings them back: that is code of the guest's,
 * run in the guest alone, and costs a session no more than the value. */
#include "session_fixture.h"

#include <sys/stat.h>

static int open_all(void **state) {
  if (setup(state) != 0) return 1;
  OPEN("session.save_at_once", "false",
       "session.save_interval_secs", "3600", "session.save_timeout_secs", "3");
  return 0;
}

static int close_all(void **state) {
  close_sessions();
  return teardown(state);
}

static void save(const char *id, int leave) {
  struct brig_session_name name = {.id = id};
  struct brig_error err;
  if (brig_session_save(sessions, &name, leave, &err) < 0) fail_msg("%s", err.message);
}

/* Back from its store, without what is named: `lost` are words of one name and reason. */
static void comes_back(const char *id, const char *code, const char *value, const char *name,
                       const char *reason) {
  struct brig_turn_result *result = take(id, code);
  assert_true(result->restored);
  assert_int_equal(result->lost_count, name == NULL ? 0 : 1);
  if (name != NULL) {
    assert_string_equal(result->lost[0].name, name);
    if (strstr(result->lost[0].reason, reason) == NULL) fail_msg("%s", result->lost[0].reason);
  }
  is_well(result, value);
}

/* --- As they are saved ------------------------------------------------------------ */

static void what_cannot_be_saved_is_lost_alone(void **state) {
  (void)state;
  static const struct {
    const char *id, *does, *reason;
  } cases[] = {
      {"raises", "raise ValueError('no')", "ValueError: no"},
      {"exits", "os._exit(0)", "ended the process"},
      {"fails", "os._exit(3)", "exit status 3"},
      {"traps", "os.abort()", "trap"},
      {"loops", "while True: pass", "timeout"},
      {"allocates", "return bytes, (1 << 30,)", "MemoryError"},
      {"allocates-now", "[bytearray(16 << 20) for _ in range(640)]", "MemoryError"},
      {"recurses", "return self.__reduce__()", "RecursionError"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char code[500];
    snprintf(code, sizeof code,
             "import os\nbefore = [1]\nclass Bad:\n  def __reduce__(self):\n    %s\n"
             "bad = Bad()\nshared = before\nz = 3",
             cases[i].does);
    gives(cases[i].id, code, NULL);
    save(cases[i].id, 0);
    gives(cases[i].id, "bad.__class__.__name__, before", "('Bad', [1])"); /* alive, as it was */
    save(cases[i].id, 1);
    comes_back(cases[i].id, "before, shared is before, z, Bad.__name__, 'bad' in globals()",
               "([1], True, 3, 'Bad', False)", "bad", cases[i].reason);
  }
}

static void saving_changes_nothing_that_is_alive(void **state) {
  (void)state;
  gives("changes",
        "class C:\n  def __getstate__(self):\n    global z\n    z = 'changed'\n"
        "    open('/workspace/saved', 'w').close()\n    return {}\nc = C()\nz = 'as it was'",
        NULL);
  save("changes", 0);
  gives("changes", "import os\nz, os.path.exists('saved')", "('as it was', True)");
}

/* What is run once more to see whether it can be. */
static void a_definition_that_cannot_run_again_is_lost_alone(void **state) {
  (void)state;
  gives("defines",
        "import os\ncount = []\ndef once(f):\n  open('n', 'a').write('x')\n"
        "  if os.path.getsize('n') > 1: os._exit(1)\n  return f\n"
        "@once\ndef f(): return 1\ndef g(): return 2",
        NULL);
  save("defines", 1);
  comes_back("defines", "g(), 'f' in globals()", "(2, False)", "f", "exit status 1");
}

/* --- As they come back ------------------------------------------------------------ */

/* A value that does this when it is unpickled, once the file `armed` is there. */
#define BAD(does)                                                                     \
  "class Bad:\n  def __reduce__(self):\n    return eval, ('''__import__('os').path."  \
  "exists('/workspace/armed') and (" does ")''',)\n"                                  \
  "a = [1]\nbad = Bad()\nb = a\nclass C: pass\nc = C()\nc.n = 5"

static void come_back_without(const char *id, const char *code, const char *reason) {
  gives(id, code, NULL);
  save(id, 1);
  /* Whoever writes to its workspace: here a turn that ends badly, and so changes no state. */
  char workspace[200], path[256];
  assert_true(find_workspace(id, workspace));
  snprintf(path, sizeof path, "%s/armed", workspace);
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  fclose(file);
  comes_back(id, "a, b is a, c.n, 'bad' in globals()", "([1], True, 5, False)", "bad", reason);
  save(id, 1);
  comes_back(id, "b is a, c.n", "(True, 5)", NULL, NULL);
}

static void what_does_not_come_back_is_lost_alone(void **state) {
  (void)state;
  come_back_without("raises-later", BAD("1 / 0"), "ZeroDivisionError");
  come_back_without("exits-later", BAD("__import__('os')._exit(0)"), "ended the process");
  come_back_without("loops-later", BAD("any(iter(int, 1))"), "timeout");
  come_back_without("allocates-later", BAD("[bytearray(16 << 20) for _ in range(640)]"),
                    "MemoryError");
}

static void a_module_that_does_not_come_back_is_lost_alone(void **state) {
  (void)state;
  come_back_without("imports-later",
                    "import sys\nsys.path.append('/workspace')\n"
                    "open('evil.py', 'w').write('import os\\n"
                    "if os.path.exists(\"armed\"): os._exit(1)')\n"
                    "import evil as bad\na = b = [1]\nclass C: pass\nc = C()\nc.n = 5",
                    "exit status 1");
}

static void unpickling_is_fenced_in(void **state) {
  (void)state;
  char code[1500];
  gives("victim", "secret = 1\nopen('secret', 'w').close()", NULL);
  snprintf(code, sizeof code,
           "class Bad:\n  def __reduce__(self):\n"
           "    return eval, ('''[path for path in ('/etc/passwd', '/proc/self', '%s',"
           " '/workspace/../victim/secret', '../victim/secret', '/workspace/ran')"
           " if __import__('os').path.exists(path)] + [open('/workspace/ran', 'a').close()]''',)\n"
           "x = Bad()",
           directory);
  gives("reaches", code, NULL);
  save("reaches", 1);
  comes_back("reaches", "x", "['/workspace/ran', None]", NULL, NULL);
  gives("victim", "secret", "1");
}

/* A turn that waits for its session to come back is cancelled as any other. */
static void coming_back_is_cancelled_with_its_turn(void **state) {
  (void)state;
  struct brig_cancel *cancel;
  struct background background = {0};
  assert_int_equal(brig_cancel_new(&cancel, NULL), 0);
  gives("slow",
        "class Slow:\n  def __reduce__(self): return eval, ('''[open('here', 'w').close()] and "
        "__import__('os').path.exists('armed') and any(iter(int, 1))''',)\ns = Slow()\nx = 1",
        NULL);
  save("slow", 1);
  char workspace[200], path[256];
  assert_true(find_workspace("slow", workspace));
  snprintf(path, sizeof path, "%s/armed", workspace);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/here", workspace);
  unlink(path);
  background.turn = turn_of("slow", "x");
  background.turn.cancel = cancel;
  pthread_create(&background.thread, NULL, run_background, &background);
  wait_until_here("slow");
  brig_cancel_trigger(cancel);
  struct brig_turn_result *result = finish(&background);
  assert_int_equal(result->run->outcome, BRIG_OUTCOME_CANCELLED);
  brig_turn_result_free(result);
  brig_cancel_free(cancel);
  assert_int_equal(is_live(NULL, "slow"), 0); /* it did not come back first */
  snprintf(path, sizeof path, "%s/armed", workspace);
  assert_int_equal(rmdir(path), 0);
  gives("slow", "x", "1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_cannot_be_saved_is_lost_alone),
      cmocka_unit_test(saving_changes_nothing_that_is_alive),
      cmocka_unit_test(a_definition_that_cannot_run_again_is_lost_alone),
      cmocka_unit_test(what_does_not_come_back_is_lost_alone),
      cmocka_unit_test(a_module_that_does_not_come_back_is_lost_alone),
      cmocka_unit_test(unpickling_is_fenced_in),
      cmocka_unit_test(coming_back_is_cancelled_with_its_turn),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
