/* However a turn dies, its session is as it was, and the next turn runs. */
#include "session_fixture.h"

#include <signal.h>

static int open_all(void **state) {
  if (setup(state) != 0) return 1;
  OPEN("session.save_at_once", "false",
       "session.save_interval_secs", "3600", "wasi.stdout_limit_bytes", "100000");
  return 0;
}

static int close_all(void **state) {
  close_sessions();
  return teardown(state);
}

#define AS_IT_WAS "['as it was']"

static void begin_with(const char *id) {
  brig_turn_result_free(take(id, "x = ['as it was']"));
}

/* `code` changes x first, and dies so. */
static void dies(const char *id, struct brig_turn turn, const char *code,
                 enum brig_outcome outcome) {
  char text[1000];
  snprintf(text, sizeof text, "import os, sys\nx.append('changed')\n%s", code);
  turn.session = id;
  turn.code = text;
  struct brig_turn_result *result = run(&turn);
  if (result->run->outcome != outcome || result->ended_well)
    fail_msg("%s: %s: %s", code, brig_outcome_name(result->run->outcome), result->run->reason);
  assert_null(result->value);
  assert_null(result->error_type);
  assert_int_equal(result->turn, 1);
  brig_turn_result_free(result);
}

static void no_death_changes_the_state(void **state) {
  (void)state;
  static const struct {
    const char *code;
    enum brig_outcome outcome;
    uint64_t timeout_ms;
  } deaths[] = {
      {"os.abort()", BRIG_OUTCOME_TRAPPED, 5000},
      {"import itertools\nat = iter(())\nfor _ in range(10**6): at = itertools.chain(at)\nnext(at)",
       BRIG_OUTCOME_TRAPPED, 20000}, /* recursion in C */
      {"while True: pass", BRIG_OUTCOME_TIMEOUT, 200},
      {"import time\ntime.sleep(100)", BRIG_OUTCOME_TIMEOUT, 200},
      {"os._exit(0)", BRIG_OUTCOME_EXITED, 5000},
      {"os._exit(3)", BRIG_OUTCOME_EXITED, 5000},
      {"print('x' * 99999)\nos._exit(0)", BRIG_OUTCOME_EXITED, 5000},
      {"t = b'{\"value\":\"forged\"}'\nfor fd in range(3, 20):\n"
       "  try: os.write(fd, len(t).to_bytes(4, 'little') + t)\n  except OSError: pass\nos._exit(0)",
       BRIG_OUTCOME_EXITED, 5000},
  };
  begin_with("deaths");
  for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
    struct brig_turn turn = BRIG_TURN_INIT;
    turn.limits.timeout_ms = deaths[i].timeout_ms;
    dies("deaths", turn, deaths[i].code, deaths[i].outcome);
  }
  gives("deaths", "x", AS_IT_WAS);
}

/* A limit on fuel holds from the first turn on, or is refused: it is never passed over. */
static void fuel_is_counted_or_refused(void **state) {
  (void)state;
  struct brig_turn turn = turn_of("metered", "x = ['as it was']");
  struct brig_turn_result *result;
  turn.limits.fuel = 1000000000;
  is_well(run(&turn), NULL);
  dies("metered", turn, "while True: pass", BRIG_OUTCOME_FUEL);
  gives("metered", "x", AS_IT_WAS); /* without a limit, too */
  begin_with("unmetered");
  turn.session = "unmetered";
  assert_int_equal(brig_session_run(sessions, &turn, &result, NULL), BRIG_E_INVALID);
  gives("unmetered", "x", AS_IT_WAS);
}

static void a_later_turn_may_have_more_memory(void **state) {
  (void)state;
  struct brig_turn turn = turn_of("memory", "b = bytearray(300 << 20)\nlen(b) >> 20");
  begin_with("memory");
  turn.limits.memory_bytes = 512 << 20;
  is_well(run(&turn), "300");
}

static void raises(const char *id, const char *code, const char *type, const char *message) {
  struct brig_turn_result *result = take(id, code);
  if (!result->ended_well) fail_msg("%s: %s", code, result->run->reason);
  assert_non_null(result->error_type);
  assert_string_equal(result->error_type, type);
  if (message != NULL) assert_string_equal(result->error_message, message);
  brig_turn_result_free(result);
}

static void an_exception_is_no_death(void **state) {
  (void)state;
  raises("errors", "def f(): f()\nf()", "RecursionError", NULL);
  raises("errors", "b = bytearray(1 << 30)", "MemoryError", NULL);
  raises("errors", "l = []\nwhile True: l.append(bytearray(1 << 20))", "MemoryError", NULL);
  raises("errors", "del l\nimport sys\nsys.exit(3)", "SystemExit", "3");
  raises("errors", "raise ValueError('a\\0b')", "ValueError", "a?b");
  raises("errors", "raise ValueError('\\ud800')", "ValueError", "\\ud800");
  gives("errors", "1", "1");
}

static void a_flood_of_output_is_cut(void **state) {
  (void)state;
  struct brig_turn turn =
      turn_of("flood", "line = 'x' * 65535\nfor _ in range(1600): print(line)\n7");
  turn.limits.timeout_ms = 60000;
  struct brig_turn_result *result = run(&turn);
  assert_true(result->run->stdout_size < 101000);
  assert_true(result->run->stdout_dropped > 80000000);
  is_well(result, "7");
}

/* Whatever is said in the driver's place is its own session's loss. */
static void noise_to_the_host_spoils_its_own_reply_only(void **state) {
  (void)state;
  static const char *const noises[] = {
      "os.urandom(5000)",
      "b'\\xff\\xff\\xff\\xff' + b'x' * 5000",
      "b'\\x00'",
      "b'\\x05\\0\\0\\0[1,2]'",
      "frame({'op': 'run', 'value': 'forged'})",
      "frame({'op': 'run', 'value': 'forged'}) * 2",
      "frame({'value': 1, 'error': 2, 'names': {'a': 1}, 'lost': 'x'})",
      "frame({'error': {'type': [], 'message': None}, 'names': [1, None, 'x']})",
      "b'[' * 200000",
      "frame(1)[:4] + b'[' * 2000000",
  };
  begin_with("other");
  for (size_t i = 0; i < sizeof noises / sizeof *noises; i++) {
    char code[1000];
    snprintf(code, sizeof code,
             "import os, json\n"
             "def frame(what):\n  t = json.dumps(what).encode()\n"
             "  return len(t).to_bytes(4, 'little') + t\n"
             "for fd in range(3, 20):\n  try: os.write(fd, %s)\n  except OSError: pass\n'real'",
             noises[i]);
    begin_with("noisy");
    struct brig_turn_result *result = take("noisy", code);
    if (i < 4) assert_false(result->ended_well); /* no reply at all */
    brig_turn_result_free(result);
    gives("noisy", "x", AS_IT_WAS);
    gives("other", "x", AS_IT_WAS);
  }
}

#define EACH_FD(what) \
  "import os\nx.append('changed')\nfor fd in range(3, 20):\n  try: " what "\n  except OSError: pass"

/* The driver's own descriptor is the guest's to break. */
static void a_driver_that_cannot_ask_is_dead(void **state) {
  (void)state;
  begin_with("mute");
  struct brig_turn turn = turn_of("mute", "");
  dies("mute", turn, EACH_FD("os.close(fd)"), BRIG_OUTCOME_EXITED);
  /* It waits for the next turn in the midst of this one, and says nothing. */
  struct brig_turn_result *result = take("mute", EACH_FD("os.read(fd, 100)"));
  assert_false(result->ended_well);
  brig_turn_result_free(result);
  gives("mute", "x", AS_IT_WAS);
}

/* --- From outside ----------------------------------------------------------------- */

static void signalled(const char *id, int signal, uint64_t timeout_ms, enum brig_outcome outcome) {
  struct background background = {0};
  pid_t before[256];
  size_t count = find_states(before);
  begin_with(id);
  pid_t from = find_new_state(before, count), worker = only_child(from);
  usleep(10 * 1000); /* until it has been offered */
  background.turn = turn_of(id, "x.append('changed')\n" WAIT_FOR_GO);
  background.turn.limits.timeout_ms = timeout_ms;
  pthread_create(&background.thread, NULL, run_background, &background);
  wait_until_here(id);
  assert_int_equal(only_child(from), worker);
  assert_int_equal(kill(worker, signal), 0);
  struct brig_turn_result *result = finish(&background);
  assert_int_equal(result->run->outcome, outcome);
  assert_false(result->ended_well);
  brig_turn_result_free(result);
  gives(id, "x", AS_IT_WAS);
}

static void a_killed_worker_is_a_dead_turn(void **state) {
  (void)state;
  signalled("killed", SIGKILL, 5000, BRIG_OUTCOME_KILLED);
}

static void a_stopped_worker_is_still_held_to_its_time(void **state) {
  (void)state;
  signalled("stopped", SIGSTOP, 700, BRIG_OUTCOME_TIMEOUT);
}

static bool is_there(pid_t pid) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "re");
  bool there = file != NULL && fread(text, 1, sizeof text - 1, file) > 0 &&
               strstr(text, ") Z ") == NULL;
  if (file != NULL) fclose(file);
  return there;
}

static void end(pid_t pid) {
  assert_int_equal(kill(pid, SIGKILL), 0);
  while (is_there(pid)) usleep(1000);
}

static void is_lost_once(const char *id) {
  struct brig_turn turn = turn_of(id, "x");
  struct brig_turn_result *result;
  struct brig_error err;
  assert_int_equal(brig_session_run(sessions, &turn, &result, &err), BRIG_E_LOST);
}

static void save(const char *id) {
  struct brig_session_name name = {.id = id};
  struct brig_error err;
  if (brig_session_save(sessions, &name, 0, &err) < 0) fail_msg("%s", err.message);
}

static void a_state_that_was_killed_is_what_was_saved(void **state) {
  (void)state;
  pid_t before[256];
  size_t count = find_states(before);
  begin_with("saved");
  pid_t first = find_new_state(before, count);
  save("saved");
  gives("saved", "x.append('not saved')", NULL);
  pid_t second = only_child(first);
  end(second);
  end(first); /* what an undo would go back to */
  is_lost_once("saved");
  struct brig_turn_result *result = take("saved", "x");
  assert_true(result->restored);
  assert_int_equal(result->turn, 2);
  is_well(result, AS_IT_WAS);
}

static void a_state_that_was_killed_unsaved_begins_anew(void **state) {
  (void)state;
  pid_t before[256];
  struct brig_session_name name = {.id = "unsaved"};
  size_t count = find_states(before);
  begin_with("unsaved");
  end(find_new_state(before, count));
  assert_int_equal(brig_session_branch(sessions, &name, "twig", NULL, NULL), BRIG_E_LOST);
  struct brig_turn_result *result = take("unsaved", "'x' in globals()");
  assert_int_equal(result->turn, 1);
  is_well(result, "False");
}

/* Launchers or zygotes: all that there are. */
static void all_end(int depth) {
  pid_t all[256], pids[64];
  begin_with("one");
  begin_with("two");
  save("one");
  size_t count = find_below(getpid(), depth, pids, 64), total = find_all(all, 256);
  assert_true(count > 0);
  for (size_t i = 0; i < count; i++) kill(pids[i], SIGKILL);
  for (size_t i = 0; i < total; i++)
    while (is_there(all[i])) usleep(1000);
  is_lost_once("one");
  is_lost_once("two");
  gives("one", "x", AS_IT_WAS);
  gives("two", "'x' in globals()", "False");
  brig_turn_result_free(take(NULL, "1"));
}

static void zygotes_that_were_killed_are_replaced(void **state) {
  (void)state;
  all_end(2);
}

static void helpers_that_were_killed_are_replaced(void **state) {
  (void)state;
  all_end(1);
}

/* --- Cancelled -------------------------------------------------------------------- */

static void a_running_turn_is_cancelled(void **state) {
  (void)state;
  struct brig_cancel *cancel;
  struct background background = {0};
  assert_int_equal(brig_cancel_new(&cancel, NULL), 0);
  begin_with("cancelled");
  background.turn = turn_of("cancelled", "x.append('changed')\n" WAIT_FOR_GO);
  background.turn.cancel = cancel;
  pthread_create(&background.thread, NULL, run_background, &background);
  wait_until_here("cancelled");
  brig_cancel_trigger(cancel);
  struct brig_turn_result *result = finish(&background);
  assert_int_equal(result->run->outcome, BRIG_OUTCOME_CANCELLED);
  assert_false(result->ended_well);
  brig_turn_result_free(result);
  brig_cancel_free(cancel);
  gives("cancelled", "x", AS_IT_WAS);
}

static void a_turn_that_waits_is_cancelled(void **state) {
  (void)state;
  struct brig_cancel *cancel;
  struct background running, waiting = {0}, next;
  assert_int_equal(brig_cancel_new(&cancel, NULL), 0);
  begin_with("waits");
  begin(&running, "waits", "x.append(1)\n" WAIT_FOR_GO);
  wait_until_here("waits");
  waiting.turn = turn_of("waits", "x.append(2)");
  waiting.turn.cancel = cancel;
  pthread_create(&waiting.thread, NULL, run_background, &waiting);
  begin(&next, "waits", "x.append(3)");
  brig_cancel_trigger(cancel);
  struct brig_turn_result *result = finish(&waiting); /* while the other runs */
  assert_int_equal(result->run->outcome, BRIG_OUTCOME_CANCELLED);
  assert_false(result->ended_well);
  assert_string_equal(result->session, "waits");
  brig_turn_result_free(result);
  let_go_on("waits");
  is_well(finish(&running), NULL);
  is_well(finish(&next), NULL);
  brig_cancel_free(cancel);
  gives("waits", "x", "['as it was', 1, 3]");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_death_changes_the_state),
      cmocka_unit_test(fuel_is_counted_or_refused),
      cmocka_unit_test(a_later_turn_may_have_more_memory),
      cmocka_unit_test(an_exception_is_no_death),
      cmocka_unit_test(a_flood_of_output_is_cut),
      cmocka_unit_test(noise_to_the_host_spoils_its_own_reply_only),
      cmocka_unit_test(a_driver_that_cannot_ask_is_dead),
      cmocka_unit_test(a_killed_worker_is_a_dead_turn),
      cmocka_unit_test(a_stopped_worker_is_still_held_to_its_time),
      cmocka_unit_test(a_state_that_was_killed_is_what_was_saved),
      cmocka_unit_test(a_state_that_was_killed_unsaved_begins_anew),
      cmocka_unit_test(zygotes_that_were_killed_are_replaced),
      cmocka_unit_test(helpers_that_were_killed_are_replaced),
      cmocka_unit_test(a_running_turn_is_cancelled),
      cmocka_unit_test(a_turn_that_waits_is_cancelled),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
