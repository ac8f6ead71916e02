/* What is left of sessions when their host dies, or its disk is full. Hosts are children
 * here, so that they can be killed; each has the processes of its own. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "session_fixture.h"

/* What the host has told, which outlives it. */
struct told {
  unsigned answered, saved;
};
static struct told *told;

static int setup_told(void **state) {
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return told == MAP_FAILED ? -1 : setup(state);
}

static int teardown_told(void **state) {
  munmap(told, sizeof *told);
  return teardown(state);
}

static unsigned number_of(struct brig_turn_result *result) {
  assert_true(result->ended_well && result->value != NULL);
  unsigned number = (unsigned)atoi(result->value);
  brig_turn_result_free(result);
  return number;
}

/* Looks at what the host before has left, then takes turns without end, each of which adds
 * one to `x` and to the file. */
static _Noreturn void turn_for_ever(void) {
  unsigned answered = told->answered, saved = told->saved;
  OPEN(NULL, NULL);
  unsigned found = number_of(take("a", "x = globals().get('x', 0)\nx"));
  if (found < saved || found > answered + 1) _exit(1);
  if (found > 0 && number_of(take("a", "len(open('f').read())")) < found) _exit(2);
  for (;;) {
    struct brig_turn_result *result = take("a", "x += 1\nopen('f', 'a').write('.')\nx");
    bool is_saved = result->saved;
    told->answered = number_of(result);
    if (is_saved) told->saved = told->answered;
  }
}

/* Killed so long after it has first told something. */
static void die_after(void (*host_main)(void), useconds_t us) {
  unsigned before = told->answered;
  int status;
  pid_t host = fork();
  if (host == 0) host_main();
  for (int tries = 0; tries < 30000 && told->answered == before; tries++) usleep(1000);
  usleep(us);
  kill(host, SIGKILL);
  assert_int_equal(waitpid(host, &status, 0), host);
  if (!WIFSIGNALED(status)) fail_msg("it ended with %d", WEXITSTATUS(status));
  assert_true(told->answered != before);
}

static void no_turn_that_was_answered_is_lost(void **state) {
  (void)state;
  for (int i = 0; i < 50; i++) die_after(turn_for_ever, (useconds_t)(random() % 30000));
  assert_true(told->saved >= 50);
}

static _Noreturn void undo_and_branch(void) {
  struct brig_session_name name = {.id = "a"};
  OPEN(NULL, NULL);
  gives("a", "x = 1", NULL);
  gives("a", "x = 2", NULL);
  if (brig_session_branch(sessions, &name, "b", NULL, NULL) < 0) _exit(1);
  if (brig_session_undo(sessions, &name, NULL) < 0) _exit(2);
  told->answered++;
  for (;;) pause();
}

static void nor_is_what_was_undone_or_branched(void **state) {
  (void)state;
  die_after(undo_and_branch, 0);
  OPEN(NULL, NULL);
  gives("a", "x", "1");
  gives("b", "x", "2");
  close_sessions();
}

static void limit_files(rlim_t bytes) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_is_told_and_loses_nothing_before(void **state) {
  struct brig_session_name name = {.id = "a"};
  struct brig_error err = {0};
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  OPEN(NULL, NULL);
  gives("a", "import os\nx = 1", NULL);
  limit_files(60000);
  struct brig_turn_result *result = take("a", "x = 2\ny = os.urandom(400000)\nx");
  assert_false(result->saved);
  assert_non_null(result->unsaved);
  assert_non_null(strstr(result->unsaved, "see to its disk"));
  assert_non_null(strstr(result->unsaved, "session.store"));
  is_well(result, "2");
  assert_int_equal(brig_session_save(sessions, &name, 1, &err), BRIG_E_SYSTEM);
  assert_non_null(strstr(err.message, "see to its disk"));
  gives("a", "x", "2"); /* it is not gone for that */
  close_sessions();
  limit_files(RLIM_INFINITY);
  OPEN(NULL, NULL);
  result = take("a", "x, 'y' in globals()");
  assert_true(result->restored && result->saved);
  assert_null(result->unsaved);
  is_well(result, "(1, False)");
  close_sessions();
  signal(SIGXFSZ, SIG_DFL);
}

static void note_saved(void *context, const struct brig_session_info *info) {
  *(uint64_t *)context = info->saved_bytes;
}

static void wait_until_saved(void) {
  const struct brig_session_name anybody = {0};
  uint64_t saved = 0;
  for (int tries = 0; tries < 3000 && saved == 0; tries++, usleep(10000))
    assert_int_equal(brig_session_list(sessions, &anybody, note_saved, &saved, NULL), 0);
  assert_true(saved > 0);
}

/* A turn is answered, and saved when there is time. */
static void no_result_waits_for_what_takes_long_to_save(void **state) {
  struct brig_session_name name = {.id = "a"};
  struct brig_error err = {0};
  (void)state;
  OPEN(NULL, NULL);
  struct brig_turn_result *result = take("a",
      "import time\ndef slow():\n  return 3\nclass Slow:\n  def __reduce__(self):\n"
      "    time.sleep(1.2)\n    return slow, ()\nx = Slow()");
  assert_false(result->saved);
  assert_non_null(result->unsaved);
  assert_non_null(strstr(result->unsaved, "timeout"));
  is_well(result, NULL);
  wait_until_saved();
  result = take("a", "y = 1");
  assert_false(result->saved);
  assert_null(result->unsaved); /* it could be */
  is_well(result, NULL);
  gives("a", "x = 2", NULL);
  if (brig_session_save(sessions, &name, 0, &err) < 0) fail_msg("%s", err.message);
  result = take("a", "y = 2");
  assert_true(result->saved); /* it takes no longer any more */
  is_well(result, NULL);
  close_sessions();
}

static void what_cannot_be_saved_is_told_in_the_result(void **state) {
  (void)state;
  OPEN("session.max_state_bytes", "100K");
  struct brig_turn_result *result = take("a", "import os\nx = os.urandom(200000)\n1");
  assert_false(result->saved);
  assert_non_null(result->unsaved);
  assert_non_null(strstr(result->unsaved, "session.max_state_bytes"));
  is_well(result, "1");
  close_sessions();
}

#define TOLD(test) cmocka_unit_test_setup_teardown(test, setup_told, teardown_told)

int main(void) {
  const struct CMUnitTest tests[] = {
      TOLD(no_turn_that_was_answered_is_lost),
      TOLD(nor_is_what_was_undone_or_branched),
      ALONE(a_full_disk_is_told_and_loses_nothing_before),
      ALONE(no_result_waits_for_what_takes_long_to_save),
      ALONE(what_cannot_be_saved_is_told_in_the_result),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
