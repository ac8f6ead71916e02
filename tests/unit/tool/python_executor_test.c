/* The tool as agents call it: a real interpreter, real sessions, and what a model reads. */
#include <brig/brig.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
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
#include "base/fd.h"
#include "support/config.h"
#include "support/processes.h"

static char directory[] = "/var/tmp/brig-tool-XXXXXX";
static struct brig_sandbox *sandbox;
static struct brig_sessions *sessions;
static struct brig_python_executor *executor;

static void set(struct brig_config *config, const char *key, const char *value) {
  struct brig_error err;
  if (brig_config_set(config, key, value, &err) < 0) fail_msg("%s", err.message);
}

static struct brig_config *configure(const char *key, const char *value) {
  struct brig_config *config = NULL;
  char path[128];
  assert_int_equal(brig_config_defaults(&config, NULL), 0);
  configure_for_tests(config);
  snprintf(path, sizeof path, "%s/workspaces", directory);
  set(config, "session.workspaces_directory", path);
  snprintf(path, sizeof path, "%s/sessions.db", directory);
  set(config, "session.store", path);
  if (key != NULL) set(config, key, value);
  return config;
}

static void start(const char *key, const char *value) {
  struct brig_config *config = configure(key, value);
  struct brig_error err;
  if (brig_sandbox_open(config, &sandbox, &err) < 0 ||
      brig_sessions_open(sandbox, config, &sessions, &err) < 0 ||
      brig_python_executor_open(sessions, config, NULL, &executor, &err) < 0)
    fail_msg("%s", err.message);
  brig_config_free(config);
}

static void stop(void) {
  pid_t pids[16];
  brig_python_executor_close(executor);
  brig_sessions_close(sessions);
  brig_sandbox_close(sandbox);
  executor = NULL;
  sessions = NULL;
  sandbox = NULL;
  assert_int_equal(find_below(getpid(), 1, pids, 16), 0);
}

static int make_directory(void **state) {
  (void)state;
  strcpy(directory + strlen(directory) - 6, "XXXXXX");
  return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state) {
  (void)state;
  stop();
  brig__remove_tree(-1, directory);
  return 0;
}

static struct brig_python_call call_of(const char *session, const char *code) {
  struct brig_python_call call = BRIG_PYTHON_CALL_INIT;
  call.session_id = session;
  call.code = code;
  call.timeout_seconds = 10;
  return call;
}

/* The JSON has what the structure has, whatever that is. */
static void check_json(const struct brig_python_result *result) {
  json_t *root = json_loads(result->json, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
  int success;
  const char *output, *interpreter;
  size_t output_size;
  json_t *error, *session;
  json_int_t ms, count;
  assert_int_equal(json_unpack(root, "{s:b, s:s%, s:o, s:{s:I, s:o, s:I, s:s !} !}", "success",
                               &success, "output", &output, &output_size, "error", &error,
                               "metadata", "execution_time_ms", &ms, "session_id", &session,
                               "execution_count", &count, "interpreter", &interpreter),
                   0);
  assert_int_equal(success, result->success);
  assert_int_equal(output_size, result->output_size);
  assert_memory_equal(output, result->output, output_size);
  assert_int_equal(ms, result->execution_time_ms);
  assert_int_equal(count, result->execution_count);
  assert_string_equal(interpreter, result->interpreter);
  assert_true(result->error == NULL ? json_is_null(error)
                                    : strcmp(json_string_value(error), result->error) == 0);
  assert_true(result->session_id == NULL
                  ? json_is_null(session)
                  : strcmp(json_string_value(session), result->session_id) == 0);
  json_decref(root);
}

static struct brig_python_result *execute(const struct brig_python_call *call) {
  struct brig_python_result *result = NULL;
  struct brig_error err;
  if (brig_python_execute(executor, call, &result, &err) < 0) fail_msg("%s", err.message);
  assert_int_equal(result->success, result->error == NULL);
  assert_int_equal(strncmp(result->interpreter, "CPython 3.", 10), 0);
  check_json(result);
  return result;
}

static struct brig_python_result *take(const char *session, const char *code) {
  struct brig_python_call call = call_of(session, code);
  return execute(&call);
}

static void prints(const char *session, const char *code, const char *output) {
  struct brig_python_result *result = take(session, code);
  if (!result->success) fail_msg("%s", result->error);
  assert_string_equal(result->output, output);
  brig_python_result_free(result);
}

static void has(const char *text, const char *part) {
  if (text == NULL || strstr(text, part) == NULL) fail_msg("no \"%s\" in: %s", part, text);
}

/* It fails: the error begins with one text, and has the others, up to NULL. */
static void fails(const struct brig_python_call *call, const char *begin, ...) {
  struct brig_python_result *result = execute(call);
  va_list parts;
  if (result->success) fail_msg("a success: %s", result->output);
  if (strncmp(result->error, begin, strlen(begin)) != 0)
    fail_msg("not \"%s\": %s", begin, result->error);
  has(result->error, "\n\nWhat to do: ");
  assert_null(strchr(strstr(result->error, "What to do: "), '{'));
  va_start(parts, begin);
  for (const char *part; (part = va_arg(parts, const char *)) != NULL;) has(result->error, part);
  va_end(parts);
  brig_python_result_free(result);
}

#define FAILS(session, code, ...)                                 \
  do {                                                            \
    struct brig_python_call failing_call = call_of(session, code); \
    fails(&failing_call, __VA_ARGS__, NULL);                      \
  } while (0)

#define LEFT     "What ran before this has stayed in the session."
#define AS_IT_WAS "The session is as it was before this call."
#define ONE_SHOT "Nothing is kept of a call without session_id"

static void output_is_what_a_notebook_shows(void **state) {
  (void)state;
  start(NULL, NULL);
  prints(NULL, "print('a')", "a\n");
  prints(NULL, "6 * 7", "42");
  prints(NULL, "None", "");
  prints(NULL, "print('a')\n'b'", "a\n'b'");
  prints(NULL, "print('a', end='')\n1", "a\n1");
  prints(NULL, "import sys\nprint('a')\nsys.stderr.write('c\\n')\n2", "a\n2\n[stderr]\nc\n");
  prints(NULL, "import sys\nprint('a')\nsys.exit()", "a\n");
  prints(NULL, "import sys\nsys.exit(0)", "");
  prints(NULL, "print('\\udcff|\\0|é')", "\xef\xbf\xbd|");
  struct brig_python_result *result = take(NULL, "print('\\udcff|\\0|é')");
  assert_int_equal(result->output_size, 9);
  brig_python_result_free(result);
}

static void a_session_keeps_names_and_files(void **state) {
  (void)state;
  start(NULL, NULL);
  prints("a", "import math\ndef f(x): return math.sqrt(x)\nx = 16", "");
  prints("a", "open('f.txt', 'w').write('abc')", "3");
  struct brig_python_result *result = take("a", "f(x), open('/workspace/f.txt').read()");
  assert_string_equal(result->output, "(4.0, 'abc')");
  assert_string_equal(result->session_id, "a");
  assert_int_equal(result->execution_count, 3);
  assert_int_equal(result->failure.code, 0);
  assert_string_equal(result->turn->value, "(4.0, 'abc')");
  brig_python_result_free(result);
}

/* How many there are once there are no more than that, or it takes too long: they go
 * after the answer. */
static size_t workers_left(size_t most) {
  pid_t pids[16];
  size_t count = find_below(getpid(), 3, pids, 16);
  for (int tries = 0; count > most && tries < 500; tries++) {
    usleep(10 * 1000);
    count = find_below(getpid(), 3, pids, 16);
  }
  return count;
}

static void count_session(void *context, const struct brig_session_info *info) {
  (void)info;
  ++*(int *)context;
}

static void without_a_session_nothing_is_left(void **state) {
  (void)state;
  struct brig_session_name nobody = {0};
  char command[128];
  int count = 0;
  start("session.save_interval_secs", "0");
  struct brig_python_result *result =
      take("", "open('f', 'w').write('x')\nimport os\nos.listdir('.')");
  assert_string_equal(result->output, "['f']");
  assert_null(result->session_id);
  assert_int_equal(result->execution_count, 1);
  brig_python_result_free(result);
  FAILS(NULL, "open('g', 'w')\nimport os\nos._exit(1)", "The program ended the interpreter");
  prints(NULL, "import os\nos.listdir('.')", "[]");
  FAILS(NULL, "f", "Traceback", "NameError", ONE_SHOT);
  assert_int_equal(brig_session_list(sessions, &nobody, count_session, &count, NULL), 0);
  assert_int_equal(count, 0);
  snprintf(command, sizeof command, "test $(ls %s/workspaces/*/* | wc -l) -eq 0", directory);
  assert_int_equal(system(command), 0);
  assert_int_equal(workers_left(0), 0);
}

static void exceptions_come_with_advice(void **state) {
  (void)state;
  start(NULL, NULL);
  prints("a", "x = 1", "");
  FAILS("a", "x = 2\n1 / 0", "Traceback (most recent call last)", "line 2", "1 / 0",
        "ZeroDivisionError", LEFT);
  prints("a", "x", "2");
  FAILS("a", "import requests", "Traceback", "No module named 'requests'",
        "Nothing can be installed", "There is the standard library alone");
  FAILS("a", "undefined", "Traceback", "NameError", LEFT);
  FAILS("a", "1 +", "  File", "SyntaxError", "Nothing was run");
  FAILS("a", "open('nothing')", "Traceback", "FileNotFoundError", "/workspace", "/memory");
  FAILS("a", "input()", "Traceback", "EOFError", "stdin");
  FAILS("a", "import subprocess\nsubprocess.run(['ls'])", "Traceback", "no other program");
  FAILS("a", "import os\nos.system('ls')", "Traceback", "do it in Python");
  FAILS("a", "import socket\nsocket.getaddrinfo('x', 1)", "Traceback", "There is no network");
  FAILS("a", "import threading\nthreading.Thread(target=print).start()", "Traceback",
        "There are no threads");
  FAILS("a", "eval('(' * 10000)", "Traceback", "nested too deep");
  FAILS("a", "class E(Exception): pass\nraise E", "Traceback", "Correct the code", LEFT);
  FAILS("a", "import sys\nprint('why')\nsys.exit(3)", "The program called sys.exit() with 3",
        "sys.exit(0)", LEFT);
  FAILS("a", "raise ValueError('{state}')", "Traceback", "ValueError: {state}", LEFT);
}

static void what_ends_the_interpreter_leaves_the_session(void **state) {
  (void)state;
  struct brig_python_call call = call_of("a", "x = 2\nprint('begun')\nwhile True: pass");
  start(NULL, NULL);
  prints("a", "x = 1", "");
  call.timeout_seconds = 0.5;
  fails(&call, "Execution timeout after 0.5 seconds", "the timeout_seconds of this call",
        "60 is the most", AS_IT_WAS, NULL);
  FAILS("a", "x = 3\nimport os\nos._exit(4)", "The program ended the interpreter with status 4",
        "os._exit()", AS_IT_WAS);
  FAILS("a", "x = 4\nimport os\nos.abort()", "The interpreter crashed: trap", AS_IT_WAS);
  FAILS(NULL, "import os\nos._exit(0)", "The program ended the interpreter with status 0",
        ONE_SHOT);
  struct brig_python_result *result = execute(&call);
  assert_string_equal(result->output, "begun\n"); /* what it had printed is there */
  brig_python_result_free(result);
  prints("a", "x", "1");
}

static void limits_are_told_with_what_was_used(void **state) {
  (void)state;
  start("wasi.memory_limit_bytes", "100M");
  FAILS("a", "x = 'a' * (200 << 20)", "Traceback", "MemoryError", "The limit is 100 MiB, and ",
        "MiB were in use", LEFT);
  stop();
  start("wasi.interpreter_max_fuel", "200000000");
  FAILS("b", "while True: pass", "Out of fuel: all of 200000000", "operator's limit", AS_IT_WAS);
}

static void timeouts_are_cut_to_the_most_there_is(void **state) {
  (void)state;
  struct brig_python_call call = call_of(NULL, "while True: pass");
  struct brig_config *config = configure("wasi.execution_timeout_secs", "0.4");
  set(config, "ceiling.execution_timeout_secs", "0.5");
  assert_int_equal(brig_sandbox_open(config, &sandbox, NULL), 0);
  assert_int_equal(brig_sessions_open(sandbox, config, &sessions, NULL), 0);
  assert_int_equal(brig_python_executor_open(sessions, config, NULL, &executor, NULL), 0);
  brig_config_free(config);
  call.timeout_seconds = 1e300;
  fails(&call, "Execution timeout after 0.5 seconds", "less than the timeout_seconds", NULL);
  call.timeout_seconds = 0;
  fails(&call, "Execution timeout after 0.4 seconds", "does not say timeout_seconds", NULL);
  call.timeout_seconds = 1e-9;
  fails(&call, "Execution timeout after 0.001 seconds", NULL);
}

static void wrong_calls_are_refused_with_what_is_wrong(void **state) {
  (void)state;
  static const double times[] = {-1, -0.001, NAN, INFINITY, -INFINITY, -1e300};
  static const char *const ids[] = {"..", ".x", "a/b", "a..b", "%2e\n", "a b", "\xc3\xa9", "\xff"};
  struct brig_python_call call = call_of("a", NULL);
  size_t large = 10 << 20;
  char *text = malloc(large + 1);
  start(NULL, NULL);
  fails(&call, "No code provided to execute", "parameter code", NULL);
  call.code = "";
  fails(&call, "No code provided to execute", NULL);
  call.code = " \n\t\r\n";
  fails(&call, "No code provided to execute", NULL);
  call.code = "x = '\0'";
  call.code_size = 7;
  fails(&call, "The code contains a 0 byte, at offset 5", "\\x00", NULL);
  call.code = "x = '\xed\xa0\x80'";
  call.code_size = 0;
  fails(&call, "The code is not UTF-8 at offset 5", NULL);
  memset(text, '#', large);
  text[large] = '\0';
  call.code = text;
  fails(&call, "The code is too long: it has 10485760 bytes, of 1048576", "stdin", NULL);
  call.code = "1";
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    call.timeout_seconds = times[i];
    fails(&call, "timeout_seconds is not a length of time", "60 is the most", NULL);
  }
  call.timeout_seconds = 5;
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    call.session_id = ids[i];
    fails(&call, "The session_id is refused: ", "128 letters", "another session_id", NULL);
  }
  call.session_id = text;
  fails(&call, "The session_id is refused: ", NULL);
  struct brig_python_result *result = execute(&call);
  assert_null(result->session_id);
  assert_null(result->turn);
  assert_int_equal(result->failure.code, BRIG_E_INVALID);
  brig_python_result_free(result);
  call.size = 3;
  assert_int_equal(brig_python_execute(executor, &call, &result, NULL), BRIG_E_INVALID);
  call.size = sizeof call + 8;
  assert_int_equal(brig_python_execute(executor, &call, &result, NULL), BRIG_E_INVALID);
  free(text);
}

/* One byte less than too much: what a program of that size may need is the guest's. */
static void the_longest_code_is_run_or_fails_well(void **state) {
  (void)state;
  char *text = malloc(BRIG_PYTHON_CODE_MAX + 1);
  start(NULL, NULL);
  memset(text, '#', BRIG_PYTHON_CODE_MAX);
  memcpy(text, "7\n", 2);
  text[BRIG_PYTHON_CODE_MAX] = '\0';
  prints(NULL, text, "7");
  memset(text, '(', BRIG_PYTHON_CODE_MAX);
  struct brig_python_result *result = take("a", text);
  assert_false(result->success);
  brig_python_result_free(result);
  prints("a", "1", "1");
  free(text);
}

static void standard_input_is_the_programs(void **state) {
  (void)state;
  struct brig_python_call call = call_of("a", "input(), input()");
  start(NULL, NULL);
  call.input = "one\ntwo\n";
  call.input_size = 8;
  struct brig_python_result *result = execute(&call);
  assert_string_equal(result->output, "('one', 'two')");
  brig_python_result_free(result);
}

static void long_output_says_where_it_is(void **state) {
  (void)state;
  start("wasi.stdout_limit_bytes", "1000");
  struct brig_python_result *result = take("a", "print('x' * 5000)");
  assert_true(result->success);
  has(result->output, "bytes are left out here");
  has(result->output, "open('/workspace/stdout-1.txt')");
  brig_python_result_free(result);
  prints("a", "len(open('/workspace/stdout-1.txt').read())", "5001");
  result = take(NULL, "print('x' * 5000)");
  has(result->output, "[The output was too long and is cut. Print less, or make the call with a "
                      "session_id");
  brig_python_result_free(result);
  FAILS("a", "print('x' * 5000)\n1 / 0", "Traceback", "ZeroDivisionError",
        "open('/workspace/stdout-3.txt')");
}

static void what_was_lost_is_told(void **state) {
  (void)state;
  start(NULL, NULL);
  prints("a", "x = 1\ng = (n for n in 'ab')", "");
  stop();
  start(NULL, NULL);
  prints("a", "x",
         "1\n[The session was saved since its last call. These are lost, make them again: g (a "
         "generator cannot be saved).]");
  prints("a", "x", "1");
}

static void collect(void *context, enum brig_stream stream, const void *data, size_t size) {
  FILE *file = context;
  fprintf(file, "%d:%.*s", stream, (int)size, (const char *)data);
}

static void output_comes_as_it_is_written(void **state) {
  (void)state;
  char *seen = NULL;
  size_t size;
  struct brig_python_call call =
      call_of(NULL, "import sys\nprint('a')\nprint('b', file=sys.stderr)");
  start(NULL, NULL);
  call.on_output = collect;
  call.on_output_context = open_memstream(&seen, &size);
  brig_python_result_free(execute(&call));
  fclose(call.on_output_context);
  has(seen, "1:a\n");
  has(seen, "2:b\n");
  free(seen);
}

static void a_call_can_be_cancelled(void **state) {
  (void)state;
  struct brig_python_call call = call_of("a", "x = 2");
  struct brig_cancel *cancel = NULL;
  start(NULL, NULL);
  prints("a", "x = 1", "");
  assert_int_equal(brig_cancel_new(&cancel, NULL), 0);
  brig_cancel_trigger(cancel);
  call.cancel = cancel;
  fails(&call, "Execution cancelled", AS_IT_WAS, NULL);
  brig_cancel_free(cancel);
  prints("a", "x", "1");
}

static void tell(void *context, enum brig_stream stream, const void *data, size_t size) {
  (void)stream, (void)data, (void)size;
  sem_post(context);
}

/* `context`: that it has begun, and what ends it. */
struct long_call {
  sem_t begun;
  struct brig_cancel *cancel;
};

static void *run_until_cancelled(void *context) {
  struct long_call *one = context;
  struct brig_python_call call = call_of("a", "print(1)\nwhile True: pass");
  struct brig_python_result *result = NULL;
  call.on_output = tell;
  call.on_output_context = &one->begun;
  call.cancel = one->cancel;
  brig_python_execute(executor, &call, &result, NULL);
  brig_python_result_free(result);
  return NULL;
}

static void busy_sessions_say_so(void **state) {
  (void)state;
  pthread_t thread;
  struct long_call one;
  start("session.queue_length", "0");
  sem_init(&one.begun, 0, 0);
  assert_int_equal(brig_cancel_new(&one.cancel, NULL), 0);
  pthread_create(&thread, NULL, run_until_cancelled, &one);
  sem_wait(&one.begun);
  struct brig_python_result *result = take("a", "1");
  has(result->error, "No capacity now: ");
  has(result->error, "Nothing was run. Wait");
  assert_int_equal(result->failure.code, BRIG_E_BUSY);
  brig_python_result_free(result);
  brig_cancel_trigger(one.cancel);
  pthread_join(thread, NULL);
  brig_cancel_free(one.cancel);
  sem_destroy(&one.begun);
}

static void a_state_that_dies_is_told_and_comes_back(void **state) {
  (void)state;
  struct brig_session_name name = {.id = "a"};
  pid_t pids[16];
  start("session.undo", "0");
  prints("a", "x = 1", "");
  assert_int_equal(brig_session_save(sessions, &name, 0, NULL), 0);
  assert_int_equal(workers_left(1), 1);
  assert_int_equal(find_below(getpid(), 3, pids, 16), 1);
  kill(pids[0], SIGKILL);
  assert_int_equal(workers_left(0), 0);
  FAILS("a", "x", "The session's process is lost: ", "saved last");
  prints("a", "x", "1");
}

static void brigs_own_failures_tell_clients_no_paths(void **state) {
  (void)state;
  char command[256];
  start(NULL, NULL);
  prints("a", "1", "1");
  snprintf(command, sizeof command, "cd %s/workspaces/*/*/ && rm -r a && ln -s /etc a", directory);
  assert_int_equal(system(command), 0);
  struct brig_python_result *result = take("a", "1");
  has(result->error, "Python could not be run: directory refused");
  has(result->error, "The code is not the cause.");
  assert_null(strstr(result->json, directory));
  assert_int_equal(result->failure.code, BRIG_E_PERMISSION);
  has(result->failure.message, directory);
  brig_python_result_free(result);
}

static void sessions_can_be_looked_at_and_cleared(void **state) {
  (void)state;
  struct brig_session_name name = {.tenant = "t", .user = "u", .id = "a"};
  struct brig_python_call call = call_of(
      "a", "import math\nimport os.path as path\nx = 1\ndef f(): pass\nclass C: pass");
  struct brig_error err;
  uint64_t count = 7;
  char *json = NULL;
  start(NULL, NULL);
  call.tenant = "t";
  call.user = "u";
  brig_python_result_free(execute(&call));
  call.session_id = "b";
  brig_python_result_free(execute(&call));
  prints("a", "1", "1");
  if (brig_python_get_session_info(executor, &name, &json, &err) < 0) fail_msg("%s", err.message);
  json_t *info = json_loads(json, 0, NULL);
  double last = 0;
  json_int_t executions = 0;
  assert_int_equal(json_unpack(info, "{s:f, s:I}", "last_accessed", &last, "execution_count",
                               &executions), 0);
  assert_true(last > 1.7e9 && last <= (double)time(NULL) + 1);
  assert_int_equal(executions, 1);
  json_object_del(info, "last_accessed");
  free(json);
  json = json_dumps(info, JSON_COMPACT);
  assert_string_equal(json, "{\"session_id\":\"a\",\"variables\":[\"x\"],\"imports\":[\"import "
                            "math\",\"import posixpath as path\"],\"functions\":[\"f\"],"
                            "\"classes\":[\"C\"],\"execution_count\":1}");
  json_decref(info);
  free(json);
  assert_int_equal(brig_python_clear_sessions(executor, "t", "u", &count, &err), 0);
  assert_int_equal(count, 2);
  assert_int_equal(brig_python_get_session_info(executor, &name, &json, NULL), BRIG_E_NOT_FOUND);
  assert_int_equal(brig_python_clear_sessions(executor, "t", "u", &count, &err), 0);
  assert_int_equal(count, 0);
  prints("a", "2", "2"); /* another user's is there */
  struct brig_session_name nobody = {.id = "a"};
  assert_int_equal(brig_python_get_session_info(executor, &nobody, &json, NULL), 0);
  has(json, "\"execution_count\":2");
  free(json);
}

static void only_pythons_are_taken(void **state) {
  (void)state;
  struct brig_python_executor *other = NULL;
  struct brig_config *config = configure(NULL, NULL);
  start(NULL, NULL);
  assert_int_equal(brig_python_executor_open(sessions, config, "cobol", &other, NULL),
                   BRIG_E_NOT_FOUND);
  assert_int_equal(brig_python_executor_open(sessions, config, "quickjs", &other, NULL),
                   BRIG_E_INVALID);
  prints("a", "1", "1");
  assert_int_equal(brig_python_executor_open(sessions, config, "python@3.12.0", &other, NULL), 0);
  struct brig_python_call call = call_of("a", "1");
  struct brig_python_result *result = NULL;
  assert_int_equal(brig_python_execute(other, &call, &result, NULL), 0);
  has(result->error, "the session a is one of python, not of python@3.12.0");
  brig_python_result_free(result);
  brig_python_executor_close(other);
  brig_config_free(config);
}

static void packages_are_those_of_the_interpreter(void **state) {
  (void)state;
  struct brig_config *config = configure(NULL, NULL);
  struct brig_python_executor *science = NULL;
  struct brig_python_call call = call_of(NULL, "import requests");
  struct brig_python_result *result = NULL;
  struct brig_error err;
  start(NULL, NULL);
  if (brig_python_executor_open(sessions, config, "python-science", &science, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(brig_python_execute(science, &call, &result, &err), 0);
  has(result->error, "Beside the standard library there are: ");
  has(result->error, " numpy, ");
  has(result->error, " pandas, ");
  brig_python_result_free(result);
  brig_python_executor_close(science);
  brig_config_free(config);
}

static void *count_up(void *unused) {
  for (int i = 0; i < 10; i++) {
    brig_python_result_free(take("shared", "x += 1"));
    prints(NULL, "print(1)\n2", "1\n2");
  }
  return unused;
}

static void threads_may_call_at_once(void **state) {
  (void)state;
  pthread_t threads[4];
  start(NULL, NULL);
  prints("shared", "x = 0", "");
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, count_up, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  prints("shared", "x", "40");
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
  const struct CMUnitTest tests[] = {
      ALONE(output_is_what_a_notebook_shows),
      ALONE(a_session_keeps_names_and_files),
      ALONE(without_a_session_nothing_is_left),
      ALONE(exceptions_come_with_advice),
      ALONE(what_ends_the_interpreter_leaves_the_session),
      ALONE(limits_are_told_with_what_was_used),
      ALONE(timeouts_are_cut_to_the_most_there_is),
      ALONE(wrong_calls_are_refused_with_what_is_wrong),
      ALONE(the_longest_code_is_run_or_fails_well),
      ALONE(standard_input_is_the_programs),
      ALONE(long_output_says_where_it_is),
      ALONE(what_was_lost_is_told),
      ALONE(output_comes_as_it_is_written),
      ALONE(a_call_can_be_cancelled),
      ALONE(busy_sessions_say_so),
      ALONE(a_state_that_dies_is_told_and_comes_back),
      ALONE(brigs_own_failures_tell_clients_no_paths),
      ALONE(sessions_can_be_looked_at_and_cleared),
      ALONE(only_pythons_are_taken),
      ALONE(packages_are_those_of_the_interpreter),
      ALONE(threads_may_call_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
