/* What tests of sessions share: a sandbox and sessions with a directory of their own, and
 * turns that are to end in a certain way. */
#ifndef BRIG_TESTS_SESSION_FIXTURE_H
#define BRIG_TESTS_SESSION_FIXTURE_H

#include <brig/brig.h>
#include <glob.h>
#include <pthread.h>
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

#define FIXTURE static __attribute__((unused))

static char directory[] = "/var/tmp/brig-session-XXXXXX";
static struct brig_sandbox *sandbox;
static struct brig_sessions *sessions;

FIXTURE int setup(void **state) {
  (void)state;
  strcpy(directory + strlen(directory) - 6, "XXXXXX");
  return mkdtemp(directory) == NULL;
}

FIXTURE int teardown(void **state) {
  (void)state;
  brig__remove_tree(-1, directory);
  return 0;
}

static void set(struct brig_config *config, const char *key, const char *value) {
  struct brig_error err = {0};
  if (brig_config_set(config, key, value, &err) < 0) fail_msg("%s", err.message);
}

/* Keys and values, NULL after the last. */
static void open_with(const char *const *settings) {
  struct brig_config *config = NULL;
  struct brig_error err = {0};
  char path[128];
  assert_int_equal(brig_config_defaults(&config, &err), 0);
  configure_for_tests(config);
  snprintf(path, sizeof path, "%s/workspaces", directory);
  set(config, "session.workspaces_directory", path);
  snprintf(path, sizeof path, "%s/sessions.db", directory);
  set(config, "session.store", path);
  for (; settings != NULL && settings[0] != NULL; settings += 2)
    set(config, settings[0], settings[1]);
  if (brig_sandbox_open(config, &sandbox, &err) < 0) fail_msg("%s", err.message);
  if (brig_sessions_open(sandbox, config, &sessions, &err) < 0) fail_msg("%s", err.message);
  brig_config_free(config);
}
#define OPEN(...) open_with((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

FIXTURE void close_sessions(void) {
  pid_t pids[16];
  brig_sessions_close(sessions);
  brig_sandbox_close(sandbox);
  assert_int_equal(find_below(getpid(), 1, pids, 16), 0);
}

/* All that this process has started, however far down. */
FIXTURE size_t find_all(pid_t *pids, size_t size) {
  size_t count = 0;
  for (int depth = 1; depth < 12; depth++)
    count += find_below(getpid(), depth, pids + count, size - count);
  return count;
}

/* The state of a session's first turn is a fork of a zygote's. */
FIXTURE size_t find_states(pid_t *pids) { return find_below(getpid(), 3, pids, 256); }

/* The state that is not among the first `count`. */
FIXTURE pid_t find_new_state(const pid_t *before, size_t count) {
  pid_t pids[256];
  size_t now = find_states(pids);
  for (size_t i = 0; i < now; i++) {
    bool old = false;
    for (size_t j = 0; j < count; j++) old |= pids[i] == before[j];
    if (!old) return pids[i];
  }
  fail_msg("there is no new state");
  return 0; /* never: kill(0) and kill(-1) are for many */
}

/* What a state has forked: a worker that is ready, runs a turn, or is the next state. */
FIXTURE pid_t only_child(pid_t state) {
  pid_t pids[16];
  for (int tries = 0; tries < 2000; tries++, usleep(1000))
    if (find_below(state, 1, pids, 16) == 1) return pids[0];
  fail_msg("the state has %zu children", find_below(state, 1, pids, 16));
  return 0;
}

static struct brig_turn turn_of(const char *id, const char *code) {
  struct brig_turn turn = BRIG_TURN_INIT;
  turn.session = id;
  turn.code = code;
  turn.limits.timeout_ms = 5000;
  return turn;
}

FIXTURE struct brig_turn_result *run(const struct brig_turn *turn) {
  struct brig_turn_result *result = NULL;
  struct brig_error err = {0};
  if (brig_session_run(sessions, turn, &result, &err) < 0) fail_msg("%s", err.message);
  return result;
}

FIXTURE struct brig_turn_result *take(const char *id, const char *code) {
  struct brig_turn turn = turn_of(id, code);
  return run(&turn);
}

/* Ended well, without an exception; its value is this, NULL: it has none. */
static void is_well(struct brig_turn_result *result, const char *value) {
  if (!result->ended_well) fail_msg("%s %s", result->run->reason, result->run->stderr_data);
  if (result->error_type != NULL) fail_msg("%s", result->traceback);
  if (value == NULL)
    assert_null(result->value);
  else if (result->value == NULL)
    fail_msg("no value, in place of %s", value);
  else
    assert_string_equal(result->value, value);
  brig_turn_result_free(result);
}

FIXTURE void gives(const char *id, const char *code, const char *value) {
  is_well(take(id, code), value);
}

struct looked_for {
  const char *id;
  int live;
};

FIXTURE void look(void *context, const struct brig_session_info *info) {
  struct looked_for *wanted = context;
  if (strcmp(info->id, wanted->id) == 0) wanted->live = info->live;
}

/* 1, 0, or -1: there is none. */
FIXTURE int is_live(const char *user, const char *id) {
  struct brig_session_name name = {.user = user};
  struct looked_for wanted = {id, -1};
  assert_int_equal(brig_session_list(sessions, &name, look, &wanted, NULL), 0);
  return wanted.live;
}

/* A turn on a thread of its own; nothing is asserted there. */
struct background {
  pthread_t thread;
  struct brig_turn turn;
  struct brig_turn_result *result;
  int rc;
};

static void *run_background(void *context) {
  struct background *background = context;
  background->rc = brig_session_run(sessions, &background->turn, &background->result, NULL);
  return NULL;
}

FIXTURE void begin(struct background *background, const char *id, const char *code) {
  background->turn = turn_of(id, code);
  background->result = NULL;
  assert_int_equal(pthread_create(&background->thread, NULL, run_background, background), 0);
}

FIXTURE struct brig_turn_result *finish(struct background *background) {
  pthread_join(background->thread, NULL);
  assert_int_equal(background->rc, 0);
  return background->result;
}

/* For the guest: wait until the host has made the file `go` in the workspace. */
#define WAIT_FOR_GO                                      \
  "import os, time\nopen('here', 'w').close()\n"         \
  "while not os.path.exists('go'): time.sleep(0.005)\n"  \
  "os.remove('go')\nos.remove('here')\n"

/* The workspace of the only session of this id; false: there is none yet. */
static bool find_workspace(const char *id, char path[200]) {
  char pattern[200];
  glob_t found;
  snprintf(pattern, sizeof pattern, "%s/workspaces/*/*/%s", directory, id);
  bool there = glob(pattern, 0, NULL, &found) == 0;
  if (there) snprintf(path, 200, "%s", found.gl_pathv[0]);
  globfree(&found);
  return there;
}

FIXTURE void wait_until_here(const char *id) {
  char workspace[200], path[256];
  for (int tries = 0; tries < 10000; tries++, usleep(1000)) {
    if (!find_workspace(id, workspace)) continue;
    snprintf(path, sizeof path, "%s/here", workspace);
    if (access(path, F_OK) == 0) return;
  }
  fail_msg("the turn of %s has not begun", id);
}

FIXTURE void let_go_on(const char *id) {
  char workspace[200], path[256];
  assert_true(find_workspace(id, workspace));
  snprintf(path, sizeof path, "%s/go", workspace);
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  fclose(file);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
