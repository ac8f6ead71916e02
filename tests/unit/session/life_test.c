/* Who may use a session when, and which sessions have a process: many threads, many
 * sessions, expiry, and what is asked of a session while its turn runs. */
#include "session_fixture.h"
#include "support/count_entries.h"

static void wait_until_saved(const char *id) {
  for (int tries = 0; tries < 5000 && is_live(NULL, id) != 0; tries++) usleep(1000);
  assert_int_equal(is_live(NULL, id), 0);
}

/* --- Turns of one session --------------------------------------------------------- */

#define THREADS 16

static void *count_up(void *context) {
  intptr_t failed = 0;
  for (int i = 0; i < 10; i++) {
    struct brig_turn turn = turn_of("shared", "x += 1");
    struct brig_turn_result *result = NULL;
    if (brig_session_run(sessions, &turn, &result, NULL) < 0 || !result->ended_well) failed++;
    brig_turn_result_free(result);
  }
  (void)context;
  return (void *)failed;
}

static void turns_of_many_threads_are_counted_exactly(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  OPEN();
  gives("shared", "x = 0", NULL);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, count_up, NULL);
  for (int i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  struct brig_turn_result *result = take("shared", "x");
  assert_int_equal(result->turn, THREADS * 10 + 2);
  is_well(result, "160");
  close_sessions();
}

static void turns_run_in_the_order_they_came(void **state) {
  (void)state;
  struct background running, waiting[8];
  char codes[8][32];
  OPEN();
  gives("a", "x = []", NULL);
  begin(&running, "a", WAIT_FOR_GO);
  wait_until_here("a");
  for (int i = 0; i < 8; i++) {
    snprintf(codes[i], sizeof codes[i], "x.append(%d)", i);
    begin(&waiting[i], "a", codes[i]);
    usleep(10 * 1000); /* until it waits, which nothing shows */
  }
  let_go_on("a");
  is_well(finish(&running), NULL);
  for (int i = 0; i < 8; i++) is_well(finish(&waiting[i]), NULL);
  gives("a", "x", "[0, 1, 2, 3, 4, 5, 6, 7]");
  close_sessions();
}

static void *live_a_life(void *context) {
  struct brig_session_name name = {.id = context};
  intptr_t failed = 0;
  for (int i = 0; i < 5; i++) {
    struct brig_turn turn = turn_of(context, i == 0 ? "x = 1" : "x += 1\nx");
    struct brig_turn_result *result = NULL;
    char value[8];
    snprintf(value, sizeof value, "%d", i + 1);
    if (brig_session_run(sessions, &turn, &result, NULL) < 0 || !result->ended_well ||
        (i > 0 && (result->value == NULL || strcmp(result->value, value) != 0)))
      failed++;
    brig_turn_result_free(result);
    if (i == 2 && brig_session_save(sessions, &name, 1, NULL) < 0) failed++;
  }
  return (void *)failed;
}

static void many_sessions_run_at_once(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  char ids[THREADS][8];
  OPEN("session.max_live", "4"); /* so that they also push each other out */
  for (int i = 0; i < THREADS; i++) {
    snprintf(ids[i], sizeof ids[i], "s%d", i);
    pthread_create(&threads[i], NULL, live_a_life, ids[i]);
  }
  for (int i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  close_sessions();
}

static int run_for_code(const char *id, struct brig_error *err) {
  struct brig_turn turn = turn_of(id, "1");
  struct brig_turn_result *result = NULL;
  int rc = brig_session_run(sessions, &turn, &result, err);
  brig_turn_result_free(result);
  return rc;
}

static void more_than_may_wait_are_told_busy(void **state) {
  (void)state;
  struct background running, waiting;
  struct brig_error err;
  OPEN("session.queue_length", "1");
  begin(&running, "a", "x = 1\n" WAIT_FOR_GO);
  wait_until_here("a");
  begin(&waiting, "a", "x");
  usleep(20 * 1000);
  assert_int_equal(run_for_code("a", &err), BRIG_E_BUSY);
  assert_non_null(strstr(err.message, "session.queue_length"));
  assert_int_equal(run_for_code("b", &err), 0); /* another session is not concerned */
  let_go_on("a");
  is_well(finish(&running), NULL);
  is_well(finish(&waiting), "1");
  close_sessions();
}

static void nobody_waits_for_ever(void **state) {
  (void)state;
  struct background running;
  struct brig_session_name name = {.id = "a"};
  struct brig_error err;
  OPEN("pool.queue_timeout_secs", "0.05");
  begin(&running, "a", WAIT_FOR_GO);
  wait_until_here("a");
  assert_int_equal(run_for_code("a", &err), BRIG_E_BUSY);
  assert_non_null(strstr(err.message, "pool.queue_timeout"));
  assert_int_equal(brig_session_drop(sessions, &name, &err), BRIG_E_BUSY);
  let_go_on("a");
  is_well(finish(&running), NULL);
  assert_int_equal(run_for_code("a", &err), 0);
  close_sessions();
}

/* --- What is asked while a turn runs ---------------------------------------------- */

struct asked {
  pthread_t thread;
  struct brig_session_name name;
  const char *to;
  int rc;
};

static void *ask_undo(void *context) {
  struct asked *asked = context;
  asked->rc = brig_session_undo(sessions, &asked->name, NULL);
  return NULL;
}

static void *ask_drop(void *context) {
  struct asked *asked = context;
  asked->rc = brig_session_drop(sessions, &asked->name, NULL);
  return NULL;
}

static void *ask_branch(void *context) {
  struct asked *asked = context;
  asked->rc = brig_session_branch(sessions, &asked->name, asked->to, NULL, NULL);
  return NULL;
}

static struct asked ask_while_running(const char *id, void *(*what)(void *), const char *to) {
  struct background running;
  struct asked asked = {.name = {.id = id}, .to = to};
  gives(id, "x = 1", NULL);
  begin(&running, id, "x = 2\n" WAIT_FOR_GO);
  wait_until_here(id);
  pthread_create(&asked.thread, NULL, what, &asked);
  usleep(20 * 1000);
  assert_int_equal(is_live(NULL, id), 1);
  let_go_on(id);
  is_well(finish(&running), NULL);
  pthread_join(asked.thread, NULL);
  assert_int_equal(asked.rc, 0);
  return asked;
}

static void what_is_asked_while_a_turn_runs_comes_after_it(void **state) {
  (void)state;
  OPEN();
  ask_while_running("undone", ask_undo, NULL);
  gives("undone", "x", "1");
  ask_while_running("branched", ask_branch, "twig");
  gives("twig", "x", "2");
  ask_while_running("dropped", ask_drop, NULL);
  assert_int_equal(is_live(NULL, "dropped"), -1);
  gives("dropped", "'x' in globals()", "False");
  close_sessions();
}

/* Each is to become the other, for which neither waits. */
static void branches_do_not_wait_for_each_other(void **state) {
  (void)state;
  struct asked there = {.name = {.id = "a"}, .to = "b"}, back = {.name = {.id = "b"}, .to = "a"};
  OPEN();
  gives("a", "1", "1");
  gives("b", "1", "1");
  for (int i = 0; i < 20; i++) {
    pthread_create(&there.thread, NULL, ask_branch, &there);
    pthread_create(&back.thread, NULL, ask_branch, &back);
    pthread_join(there.thread, NULL);
    pthread_join(back.thread, NULL);
    assert_int_equal(there.rc, BRIG_E_INVALID);
    assert_int_equal(back.rc, BRIG_E_INVALID);
  }
  close_sessions();
}

/* --- Expiry ----------------------------------------------------------------------- */

static void expiry_does_not_hurt_a_turn_that_runs(void **state) {
  (void)state;
  struct background running;
  OPEN("session.timeout_secs", "0.05", "session.save_at_once", "false",
       "session.save_interval_secs", "0.01");
  begin(&running, "a", "x = [1]\nf = (n for n in x)\n" WAIT_FOR_GO);
  wait_until_here("a");
  usleep(200 * 1000);
  let_go_on("a");
  is_well(finish(&running), NULL);
  wait_until_saved("a");
  struct brig_turn_result *result = take("a", "x");
  assert_true(result->restored);
  assert_int_equal(result->lost_count, 1);
  assert_string_equal(result->lost[0].name, "f");
  assert_int_equal(result->turn, 2);
  is_well(result, "[1]");
  close_sessions();
}

static void one_that_cannot_be_saved_now_stays(void **state) {
  (void)state;
  struct background running;
  OPEN("pool.max_workers", "1", "pool.queue_timeout_secs", "0.02", "session.timeout_secs", "0.1",
       "session.save_at_once", "false", "session.save_interval_secs", "0.3");
  gives("a", "x = 1", NULL);
  begin(&running, "b", WAIT_FOR_GO);
  wait_until_here("b");
  usleep(500 * 1000); /* a has expired, and no worker is there to save it */
  let_go_on("b");
  is_well(finish(&running), NULL);
  gives("a", "x", "1");
  close_sessions();
}

/* What could not be kept is told by the next turn, whoever it was that brought it back. */
static void what_is_lost_is_told_after_a_look_too(void **state) {
  (void)state;
  struct brig_session_name name = {.id = "a"};
  char *json = NULL;
  OPEN();
  gives("a", "f = (n for n in 'a')", NULL);
  assert_int_equal(brig_session_save(sessions, &name, 1, NULL), 0);
  assert_int_equal(brig_session_show(sessions, &name, &json, NULL), 0);
  free(json);
  struct brig_turn_result *result = take("a", "1");
  assert_true(result->restored);
  assert_int_equal(result->lost_count, 1);
  brig_turn_result_free(result);
  result = take("a", "1");
  assert_false(result->restored);
  brig_turn_result_free(result);
  close_sessions();
}

static void the_one_idle_longest_leaves_and_a_running_one_never(void **state) {
  (void)state;
  struct background running;
  OPEN("session.max_live", "3");
  begin(&running, "runs", "x = 'runs'\n" WAIT_FOR_GO);
  wait_until_here("runs");
  gives("a", "x = 'a'", NULL);
  gives("b", "x = 'b'", NULL);
  gives("c", "x = 'c'", NULL);
  gives("a", "x", "'a'"); /* so that b is idle longest */
  gives("d", "x = 'd'", NULL);
  assert_int_equal(is_live(NULL, "a"), 1);
  assert_int_equal(is_live(NULL, "b"), 0);
  assert_int_equal(is_live(NULL, "c"), 1);
  let_go_on("runs");
  is_well(finish(&running), NULL);
  assert_int_equal(is_live(NULL, "runs"), 1);
  assert_int_equal(is_live(NULL, "c"), 0);
  gives("b", "x", "'b'");
  gives("c", "x", "'c'");
  close_sessions();
}

/* One that is busy with turns that fail is not idle. */
static void a_failing_turn_is_a_use(void **state) {
  (void)state;
  OPEN("session.max_live", "2");
  gives("a", "x = 1", NULL);
  gives("b", "x = 1", NULL);
  brig_turn_result_free(take("a", "import os\nos._exit(1)"));
  gives("c", "x = 1", NULL);
  assert_int_equal(is_live(NULL, "a"), 1);
  assert_int_equal(is_live(NULL, "b"), 0);
  close_sessions();
}

/* A turn whose result is an error has changed nothing. */
static void a_turn_that_must_be_saved_and_cannot_is_undone(void **state) {
  (void)state;
  struct brig_turn turn = turn_of("a", "import os\nx = os.urandom(50000)");
  struct brig_turn_result *result;
  struct brig_error err;
  OPEN("session.save_interval_secs", "0", "session.max_state_bytes", "20K", "session.undo", "0");
  gives("a", "x = 1", NULL);
  assert_int_equal(brig_session_run(sessions, &turn, &result, &err), BRIG_E_TOO_LARGE);
  gives("a", "x", "1");
  struct brig_session_name name = {.id = "a"};
  assert_int_equal(brig_session_save(sessions, &name, 1, NULL), 0);
  result = take("a", "x");
  assert_int_equal(result->turn, 3);
  is_well(result, "1");
  close_sessions();
}

static void limits_of_the_operator_hold_for_saving_too(void **state) {
  (void)state;
  struct brig_session_name name = {.id = "a"};
  struct brig_error err;
  OPEN("ceiling.max_fuel", "100000000000", "wasi.interpreter_max_fuel", "50000000000",
       "ceiling.execution_timeout_secs", "20", "wasi.execution_timeout_secs", "10",
       "ceiling.output_limit_bytes", "2M");
  gives("a", "x = 1", NULL);
  if (brig_session_save(sessions, &name, 1, &err) < 0) fail_msg("%s", err.message);
  gives("a", "x", "1");
  close_sessions();
}

/* --- Whose session ---------------------------------------------------------------- */

static void the_same_id_is_another_session_for_each_user(void **state) {
  (void)state;
  static const struct brig_session_name names[] = {
      {NULL, NULL, "s"},  {"t", NULL, "s"},  {NULL, "t", "s"}, {"t", "u", "s"},
      {"t:u", "v", "s"},  {"t", "u:v", "s"}, {"1:t", "u", "s"}};
  OPEN();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct brig_turn turn = turn_of("s", "import os\n'x' in globals(), os.listdir('/workspace')"
                                         ", os.listdir('/memory')");
    char *json = NULL;
    turn.tenant = names[i].tenant;
    turn.user = names[i].user;
    assert_int_equal(brig_session_undo(sessions, &names[i], NULL), BRIG_E_NOT_FOUND);
    assert_int_equal(brig_session_show(sessions, &names[i], &json, NULL), BRIG_E_NOT_FOUND);
    assert_int_equal(brig_session_branch(sessions, &names[i], "b", NULL, NULL), BRIG_E_NOT_FOUND);
    assert_int_equal(brig_session_save(sessions, &names[i], 0, NULL), BRIG_E_NOT_FOUND);
    assert_int_equal(brig_session_drop(sessions, &names[i], NULL), BRIG_E_NOT_FOUND);
    is_well(run(&turn), "(False, [], [])");
    turn.code = "x = 'secret'\nopen('/workspace/w', 'w').close()\nopen('/memory/m', 'w').close()";
    is_well(run(&turn), NULL);
  }
  close_sessions();
}

/* --- What is left ----------------------------------------------------------------- */

#define MANY 1000

static void *make_and_drop(void *context) {
  int *next = context;
  intptr_t failed = 0;
  for (int i; (i = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < MANY;) {
    char id[16];
    snprintf(id, sizeof id, "s%d", i);
    struct brig_turn turn = turn_of(id, "open('f', 'w').close()");
    struct brig_session_name name = {.id = id};
    struct brig_turn_result *result = NULL;
    if (brig_session_run(sessions, &turn, &result, NULL) < 0 || !result->ended_well) failed++;
    brig_turn_result_free(result);
    if (brig_session_drop(sessions, &name, NULL) < 0) failed++;
  }
  return (void *)failed;
}

/* 30 MB and what undo goes back to, which may be as much, for each. */
static void the_budget_of_memory_counts_earlier_states(void **state) {
  (void)state;
  OPEN("session.memory_bytes", "150M", "session.undo", "1");
  gives("a", "x = bytearray(b'x') * (30 << 20)", NULL);
  gives("a", "x = bytearray(b'y') * (30 << 20)", NULL);
  gives("b", "1", "1");
  assert_int_equal(is_live(NULL, "a"), 1);
  gives("b", "x = bytearray(b'x') * (30 << 20)", NULL);
  gives("b", "x = bytearray(b'y') * (30 << 20)", NULL);
  assert_int_equal(is_live(NULL, "a"), 0);
  assert_int_equal(is_live(NULL, "b"), 1);
  gives("a", "x[0]", "121");
  close_sessions();
}

static void a_thousand_sessions_leave_nothing(void **state) {
  (void)state;
  pthread_t threads[2];
  char path[200];
  pid_t pids[256];
  int next = 0;
  OPEN("session.save_at_once", "false",
       "session.save_interval_secs", "3600", "templates.forks_per_zygote", "100000");
  gives("first", "1", "1");
  assert_true(find_workspace("first", path));
  strcpy(strrchr(path, '/'), "/.");
  size_t fds = count_entries("/proc/self/fd"), files = count_entries(path);
  size_t processes = find_all(pids, 256);
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, make_and_drop, &next);
  for (int i = 0; i < 2; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_int_equal(wait_for_entries("/proc/self/fd", fds), fds); /* see sandbox/mapped.h */
  assert_int_equal(count_entries(path), files);
  for (int tries = 0; tries < 2000 && find_all(pids, 256) > processes; tries++) usleep(1000);
  assert_int_equal(find_all(pids, 256), processes);
  close_sessions();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ALONE(turns_of_many_threads_are_counted_exactly),
      ALONE(turns_run_in_the_order_they_came),
      ALONE(many_sessions_run_at_once),
      ALONE(more_than_may_wait_are_told_busy),
      ALONE(nobody_waits_for_ever),
      ALONE(what_is_asked_while_a_turn_runs_comes_after_it),
      ALONE(branches_do_not_wait_for_each_other),
      ALONE(expiry_does_not_hurt_a_turn_that_runs),
      ALONE(one_that_cannot_be_saved_now_stays),
      ALONE(what_is_lost_is_told_after_a_look_too),
      ALONE(the_one_idle_longest_leaves_and_a_running_one_never),
      ALONE(a_failing_turn_is_a_use),
      ALONE(a_turn_that_must_be_saved_and_cannot_is_undone),
      ALONE(limits_of_the_operator_hold_for_saving_too),
      ALONE(the_same_id_is_another_session_for_each_user),
      ALONE(the_budget_of_memory_counts_earlier_states),
      ALONE(a_thousand_sessions_leave_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
