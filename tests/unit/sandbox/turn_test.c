/* Turns and states, real ones: what src/session builds on. */
#include <brig/brig.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "sandbox/turn.h"
#include "support/config.h"
#include "support/processes.h"

static struct brig_sandbox *sandbox;

static int setup(void **state) {
  (void)state;
  struct brig_config *config = NULL;
  struct brig_error err = {0};
  assert_int_equal(brig_config_defaults(&config, &err), 0);
  configure_for_tests(config);
  if (brig_sandbox_open(config, &sandbox, &err) < 0) fail_msg("%s", err.message);
  brig_config_free(config);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  brig_sandbox_close(sandbox);
  return 0;
}

/* One turn from `from`; it ended as `outcome` says. */
static struct turn take(struct zygote_process *from, const char *code, enum brig_outcome outcome,
                        uint64_t timeout_ms) {
  struct brig_request request = BRIG_REQUEST_INIT;
  struct brig_error err = {0};
  struct turn turn = {
      .request = &request, .from = from, .frame = TURN_RUN(code), .reply_max = 1 << 20};
  turn.frame.data = code;
  request.guest = "python";
  request.without_allowed_paths = 1;
  request.limits.timeout_ms = timeout_ms;
  if (brig__turn_run(sandbox, &turn, &err) < 0) fail_msg("%s", err.message);
  if (turn.result->outcome != outcome)
    fail_msg("%s: %s\n%s%s", brig_outcome_name(turn.result->outcome), turn.result->reason,
             turn.result->stdout_data, turn.result->stderr_data);
  return turn;
}

static struct zygote_process *well(struct zygote_process *from, const char *code,
                                   const char *printed) {
  struct turn turn = take(from, code, BRIG_OUTCOME_EXITED, 20000);
  struct zygote_process *state = turn.state;
  assert_non_null(state);
  assert_string_equal((char *)turn.result->stdout_data, printed);
  turn.state = NULL;
  brig__turn_free(&turn);
  return state;
}

static void badly(struct zygote_process *from, const char *code, enum brig_outcome outcome) {
  struct turn turn = take(from, code, outcome, 500);
  assert_null(turn.state);
  brig__turn_free(&turn);
}

static void a_turn_goes_on_from_the_state(void **unused) {
  (void)unused;
  struct zygote_process *first = well(NULL, "x = 1; print('a')", "a\n");
  struct zygote_process *second = well(first, "x += 1; print(x)", "2\n");
  struct zygote_process *third = well(second, "x += 1; print(x)", "3\n");
  struct zygote_process *other = well(first, "print(x + 10)", "11\n");
  brig__state_end(first); /* its descendants live on */
  struct zygote_process *fourth = well(third, "print(x)", "3\n");
  brig__state_end(second);
  brig__state_end(third);
  brig__state_end(other);
  brig__state_end(fourth);
}

static void no_bad_turn_hurts_the_state(void **unused) {
  (void)unused;
  struct zygote_process *state = well(NULL, "x = [1]", "");
  badly(state, "x.append(2)\nimport os\nos._exit(0)", BRIG_OUTCOME_EXITED);
  badly(state, "x.append(2)\nwhile True: pass", BRIG_OUTCOME_TIMEOUT);
  badly(state, "x.append(2)\nimport os\nos.abort()", BRIG_OUTCOME_TRAPPED);
  badly(state, "x.append(2)\nimport os\nfor fd in range(100):\n try: os.close(fd)\n except OSError: pass",
        BRIG_OUTCOME_EXITED);
  struct zygote_process *next = well(state, "print(x)", "[1]\n");
  brig__state_end(state);
  brig__state_end(next);
}

static void a_state_is_branched(void **unused) {
  (void)unused;
  struct zygote_process *state = well(NULL, "x = 1", ""), *branch = NULL;
  struct brig_error err;
  if (brig__state_branch(state, &branch, &err) < 0) fail_msg("%s", err.message);
  brig__state_end(state);
  struct zygote_process *next = well(branch, "print(x)", "1\n");
  brig__state_end(branch);
  brig__state_end(next);
}

static void a_state_whose_process_died_is_lost(void **unused) {
  (void)unused;
  struct zygote_process *state = well(NULL, "x = 1", "");
  struct brig_request request = BRIG_REQUEST_INIT;
  struct turn turn = {.request = &request, .from = state, .frame = TURN_RUN("x")};
  pid_t pids[16];
  request.guest = "python";
  request.without_allowed_paths = 1;
  size_t count = find_below(getpid(), 3, pids, 16);
  assert_int_not_equal(count, 0);
  while (count > 0) kill(pids[--count], SIGKILL);
  usleep(100 * 1000);
  assert_int_equal(brig__turn_run(sandbox, &turn, NULL), BRIG_E_LOST);
  brig__state_end(state);
}

/* What a state that is `depth` below us has forked: the last of it, once there are so
 * many. 0 if that is not so in time. */
static pid_t forked_by(int depth, size_t wanted, int ms) {
  pid_t pids[16];
  for (; ms > 0; ms -= 5, usleep(5000)) {
    size_t count = find_below(getpid(), depth + 1, pids, 16);
    if (count == wanted) return wanted == 0 ? 1 : pids[count - 1];
  }
  return 0;
}

static void the_next_turn_finds_a_worker_ready(void **unused) {
  (void)unused;
  struct zygote_process *first = well(NULL, "x = 1", "");
  pid_t ready = forked_by(3, 1, 2000);
  assert_int_not_equal(ready, 0);
  struct zygote_process *second = well(first, "x += 1; print(x)", "2\n");
  assert_int_not_equal(forked_by(4, 1, 2000), 0);
  assert_int_equal(forked_by(3, 1, 100), ready); /* it is the state, and none comes after it */
  badly(second, "import os; os._exit(0)", BRIG_OUTCOME_EXITED);
  assert_int_not_equal(forked_by(4, 1, 2000), 0); /* for another try */
  brig__state_end(second);
  brig__state_end(well(first, "print(x)", "1\n"));
  brig__state_end(first);
}

static void a_ready_worker_is_not_relied_upon(void **unused) {
  (void)unused;
  struct zygote_process *state = well(NULL, "x = 1", "");
  pid_t ready = forked_by(3, 1, 2000);
  assert_int_equal(kill(ready, SIGKILL), 0);
  while (kill(ready, 0) == 0) usleep(1000);
  brig__state_end(well(state, "print(x)", "1\n"));
  brig__state_end(state);
}

/* There may be many sessions that nobody uses. */
static void a_ready_worker_does_not_wait_for_ever(void **unused) {
  (void)unused;
  struct zygote_process *state = well(NULL, "x = 1", "");
  assert_int_not_equal(forked_by(3, 1, 2000), 0);
  brig__state_expect(state); /* and no turn comes */
  assert_int_not_equal(forked_by(3, 1, 100), 0);
  assert_int_not_equal(forked_by(3, 0, 10000), 0);
  brig__state_expect(state); /* of which there is none any more */
  struct zygote_process *next = well(state, "print(x)", "1\n");
  brig__state_end(next);
  brig__state_end(state);
}

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

/* The first state that comes of a worker that was ready maps more pages, for all after it. */
static void note_least(uint64_t *least, uint64_t bytes) {
  if (bytes < *least) *least = bytes;
}

static void many_turns_leave_nothing(void **unused) {
  (void)unused;
  struct zygote_process *state = well(NULL, "x = 0", "");
  uint64_t early = UINT64_MAX, late = UINT64_MAX;
  double began = now();
  for (int i = 0; i < 1000; i++) {
    struct turn turn = take(state, "x += 1", BRIG_OUTCOME_EXITED, 20000);
    brig__state_end(state);
    state = turn.state;
    turn.state = NULL;
    if (i < 100 && i % 10 == 0) usleep(20 * 1000); /* until one is */
    if (i >= 100 && i < 300) note_least(&early, turn.result->rss_bytes);
    if (i >= 800) note_least(&late, turn.result->rss_bytes);
    brig__turn_free(&turn);
  }
  print_message("%.3f ms a turn\n", (now() - began) / 1000);
  assert_true(late < early + (1 << 20));
  pid_t pids[64];
  usleep(100 * 1000);
  assert_int_equal(find_below(getpid(), 3, pids, 64), 1);
  brig__state_end(well(state, "print(x)", "1000\n"));
  brig__state_end(state);
  usleep(100 * 1000);
  assert_int_equal(find_below(getpid(), 3, pids, 64), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_turn_goes_on_from_the_state),
      cmocka_unit_test(no_bad_turn_hurts_the_state),
      cmocka_unit_test(a_state_is_branched),
      cmocka_unit_test(a_state_whose_process_died_is_lost),
      cmocka_unit_test(the_next_turn_finds_a_worker_ready),
      cmocka_unit_test(a_ready_worker_is_not_relied_upon),
      cmocka_unit_test(a_ready_worker_does_not_wait_for_ever),
      cmocka_unit_test(many_turns_leave_nothing),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
