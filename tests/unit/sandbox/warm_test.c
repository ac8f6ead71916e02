/* Templates: what goes on from one is as fresh as what starts anew. With the real
 * interpreter, and both ways: workers forked ahead of demand, and on demand. */
#include <brig/brig.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/config.h"
#include "guest/guest.h"
#include "pool/wire.h"
#include "support/config.h"
#include "support/count_entries.h"
#include "support/modules.h"
#include "support/processes.h"

struct setting {
  const char *key, *value;
};

static const struct setting ready[] = {{"templates.ready_workers", "2"}, {NULL, NULL}},
                            forked[] = {{"templates.ready_workers", "0"}, {NULL, NULL}};

static char yaml[] = "/tmp/brig-warm-XXXXXX";

/* A setting "named" is what a file says under templates.named, in one line. */
static struct brig_config *load(const struct setting *settings) {
  struct brig_config *config = NULL;
  struct brig_error err = {0};
  while (settings->key != NULL && strcmp(settings->key, "named") != 0) settings++;
  strcpy(yaml + strlen(yaml) - 6, "XXXXXX");
  int fd = mkstemp(yaml);
  assert_true(fd >= 0);
  if (settings->key != NULL) dprintf(fd, "templates: {named: {%s}}\n", settings->value);
  close(fd);
  if (brig_config_load(yaml, &config, &err) < 0) fail_msg("%s", err.message);
  unlink(yaml);
  return config;
}

static struct brig_sandbox *open_sandbox(const struct setting *settings) {
  struct brig_config *config = load(settings);
  struct brig_sandbox *sandbox = NULL;
  struct brig_error err = {0};
  configure_for_tests(config);
  for (; settings->key != NULL; settings++)
    if (strcmp(settings->key, "named") != 0)
      assert_int_equal(brig_config_set(config, settings->key, settings->value, &err), 0);
  if (brig_sandbox_open(config, &sandbox, &err) < 0) fail_msg("%s", err.message);
  brig_config_free(config);
  return sandbox;
}

static struct brig_request program(const char *code) {
  struct brig_request request = BRIG_REQUEST_INIT;
  request.guest = "python";
  request.code = code;
  return request;
}

static struct brig_result *run(struct brig_sandbox *sandbox, const struct brig_request *request) {
  struct brig_result *result = NULL;
  struct brig_error err = {0};
  if (brig_sandbox_execute(sandbox, request, &result, &err) < 0) fail_msg("%s", err.message);
  if (result->accounted)
    assert_true(result->wall_us >= result->queue_us + result->start_us + result->run_us);
  return result;
}

static const char *text(const struct brig_result *result) { return (char *)result->stdout_data; }

static void expect(struct brig_sandbox *sandbox, const char *code, const char *output) {
  struct brig_request request = program(code);
  struct brig_result *result = run(sandbox, &request);
  if (strcmp(text(result), output) != 0)
    fail_msg("%s: %s%s", code, text(result), (char *)result->stderr_data);
  brig_result_free(result);
}

/* Until such requests are warm; false if they never are. */
static bool becomes_warm(struct brig_sandbox *sandbox, const struct brig_request *request) {
  for (int i = 0; i < 100; i++) {
    struct brig_result *result = run(sandbox, request);
    bool warm = result->warm != 0;
    brig_result_free(result);
    if (warm) return true;
    usleep(i < 3 ? 0 : 50 * 1000);
  }
  return false;
}

static struct brig_sandbox *open_warm(const struct setting *settings) {
  struct brig_sandbox *sandbox = open_sandbox(settings);
  struct brig_request request = program("");
  assert_true(becomes_warm(sandbox, &request));
  return sandbox;
}

static void what_is_seen_twice_is_warm_the_next_time(void **state) {
  struct brig_sandbox *sandbox = open_sandbox(*state);
  struct brig_request request = program("print(1)"), other = program("print(2)");
  struct brig_result *first = run(sandbox, &request), *second = run(sandbox, &request);
  assert_true(!first->warm && !second->warm);
  assert_true(becomes_warm(sandbox, &request));
  struct brig_result *warm = run(sandbox, &other); /* the program is no part of the template */
  assert_true(warm->warm);
  assert_string_equal(text(warm), "2\n");
  assert_int_equal(warm->outcome, BRIG_OUTCOME_EXITED);
  assert_true(warm->accounted && warm->memory_bytes > 0 && warm->rss_bytes > 0);
  brig_result_free(first);
  brig_result_free(second);
  brig_result_free(warm);
  brig_sandbox_close(sandbox);
}

static void seen_0_means_never(void **state) {
  (void)state;
  static const struct setting never[] = {{"templates.seen", "0"}, {NULL, NULL}};
  struct brig_sandbox *sandbox = open_sandbox(never);
  struct brig_request request = program("");
  for (int i = 0; i < 5; i++) {
    struct brig_result *result = run(sandbox, &request);
    assert_false(result->warm);
    brig_result_free(result);
  }
  brig_sandbox_close(sandbox);
}

static void named_templates_are_up_when_the_sandbox_is(void **state) {
  const struct setting *how = *state;
  struct setting settings[] = {
      how[0], {"named", "a: {guest: python, preload: import colorsys}"}, {NULL, NULL}};
  struct brig_sandbox *sandbox = open_sandbox(settings);
  struct brig_request request = program("import sys; print('colorsys' in sys.modules)");
  struct brig_result *result = run(sandbox, &request);
  assert_null(brig_sandbox_notice(sandbox, 0));
  assert_true(result->warm);
  assert_string_equal(text(result), "True\n");
  brig_result_free(result);
  request.workspace = "/tmp"; /* another template, of itself, with the same preload */
  assert_true(becomes_warm(sandbox, &request));
  result = run(sandbox, &request);
  assert_string_equal(text(result), "True\n");
  brig_result_free(result);
  brig_sandbox_close(sandbox);
}

static void one_that_cannot_be_made_is_a_notice(void **state) {
  const struct setting *how = *state;
  static const struct {
    const char *named, *notice;
  } cases[] = {
      {"a: {guest: python, preload: 1 / 0}", "ZeroDivisionError"},
      {"a: {guest: python, preload: 'while True: pass'}", "templates.start_timeout_secs"},
      {"a: {guest: python, preload: print('hi')}", "output before it asked for input: hi"},
      {"a: {guest: python, preload: raise SystemExit}", "ended before it asked for input"},
      {"a: {guest: python, preload: 'import os; os.abort()'}", "trapped before it asked"},
      {"a: {guest: nothing}", "there is no interpreter nothing"},
      {"a: {module: /no/such.wasm}", "there is no module"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct setting settings[] = {
        how[0], {"named", cases[i].named}, {"templates.start_timeout_secs", "1"}, {NULL, NULL}};
    struct brig_sandbox *sandbox = open_sandbox(settings);
    const char *notice = brig_sandbox_notice(sandbox, 0);
    if (notice == NULL || strstr(notice, cases[i].notice) == NULL)
      fail_msg("%s: %s", cases[i].named, notice);
    assert_non_null(strstr(notice, "template \"a\""));
    expect(sandbox, "print('unwarmed')", "unwarmed\n");
    brig_sandbox_close(sandbox);
  }
}

static void no_two_executions_share_a_random_value(void **state) {
  const struct setting *how = *state;
  struct setting settings[] = {
      how[0],
      {"named",
       "a: {guest: python, preload: 'import random, tempfile, uuid, secrets; "
       "random.random(); next(tempfile._get_candidate_names()); uuid.uuid1()'}"},
      {NULL, NULL}};
  struct brig_sandbox *sandbox = open_warm(settings);
  struct brig_request request = program(
      "import random, os, uuid, tempfile, secrets\n"
      "print(random.random(), os.urandom(8).hex(), uuid.uuid4(), uuid.uuid1().node,\n"
      "      secrets.token_hex(8), next(tempfile._get_candidate_names()), random.getrandbits(64))");
  char seen[12 * 7][64];
  size_t count = 0;
  for (int i = 0; i < 12; i++) {
    struct brig_result *result = run(sandbox, &request);
    assert_true(result->warm);
    for (char *at = (char *)result->stdout_data, *word; (word = strtok(at, " \n")) != NULL;
         at = NULL)
      snprintf(seen[count++], 64, "%s", word);
    brig_result_free(result);
  }
  assert_int_equal(count, 12 * 7);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < i; j++) assert_string_not_equal(seen[i], seen[j]);
  brig_sandbox_close(sandbox);
}

static void nothing_of_one_execution_is_in_the_next(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  char one[] = "/tmp/brig-warm-XXXXXX", two[] = "/tmp/brig-warm-XXXXXX";
  struct brig_request leave = program(
      "import builtins, os, sys\n"
      "builtins.left = 'a secret'; sys.modules['left'] = os; os.environ['LEFT'] = 'x'\n"
      "keep = open('/workspace/left', 'w'); keep.write('a secret'); keep.flush()\n"
      "os.chdir('/workspace'); hoard = [bytearray(b'a secret' * 100000)]");
  struct brig_request look = program(
      "import builtins, os, sys\n"
      "def is_open(fd):\n"
      "  try: return bool(os.fstat(fd))\n"
      "  except OSError: return False\n"
      "print(hasattr(builtins, 'left'), 'left' in sys.modules, 'LEFT' in os.environ,\n"
      "      os.listdir('/workspace'), os.getcwd(), [fd for fd in range(32) if is_open(fd)])");
  assert_non_null(mkdtemp(one));
  assert_non_null(mkdtemp(two));
  look.workspace = two;
  struct brig_result *before = run(sandbox, &look); /* cold: as it should be */
  assert_false(before->warm);
  for (int i = 0; i < 3; i++) {
    leave.workspace = one;
    assert_true(becomes_warm(sandbox, &leave));
    leave.workspace = two;
    struct brig_result *after = run(sandbox, &look);
    assert_true(after->warm);
    assert_string_equal(text(after), text(before));
    brig_result_free(after);
  }
  brig_result_free(before);
  char path[64];
  snprintf(path, sizeof path, "%s/left", one);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(one), 0);
  assert_int_equal(rmdir(two), 0);
  brig_sandbox_close(sandbox);
}

static void directories_have_the_rights_of_the_request(void **state) {
  struct brig_sandbox *sandbox = open_sandbox(*state);
  char directory[] = "/tmp/brig-warm-XXXXXX", path[64];
  struct brig_request request = program(
      "print(open('/d/in').read())\n"
      "try: open('/d/out', 'w')\n"
      "except OSError as e: print(e.strerror)\n"
      "try: open('/d/../../etc/passwd')\n"
      "except OSError as e: print('no')");
  assert_non_null(mkdtemp(directory));
  struct brig_mount mount = {directory, "/d", BRIG_MOUNT_READ_ONLY};
  snprintf(path, sizeof path, "%s/in", directory);
  FILE *file = fopen(path, "we");
  assert_true(fputs("hello", file) > 0 && fclose(file) == 0);
  request.mounts = &mount;
  request.mount_count = 1;
  assert_true(becomes_warm(sandbox, &request));
  struct brig_result *result = run(sandbox, &request);
  assert_true(result->warm);
  assert_string_equal(text(result), "hello\nRead-only file system\nno\n");
  brig_result_free(result);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(directory), 0);
  brig_sandbox_close(sandbox);
}

static void input_is_the_programs_own(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  struct brig_request request = program("print(input(), len(input()))");
  size_t size = 100003;
  char *input = malloc(size + 1);
  memset(input, 'x', size);
  memcpy(input, "a\n", 3);
  memset(input + 2, 'x', size - 2);
  request.input = input;
  request.input_size = size;
  struct brig_result *result = run(sandbox, &request);
  assert_true(result->warm);
  if (strcmp(text(result), "a 100001\n") != 0)
    fail_msg("%s: %s%s", result->reason, text(result), (char *)result->stderr_data);
  brig_result_free(result);
  free(input);
  brig_sandbox_close(sandbox);
}

/* Short ones go with their task, others by a file. */
static void a_program_may_have_any_length(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  const char begin[] = "code = '", end[] = "'\nprint(len(code))";
  const size_t sizes[] = {2000, WIRE_PROGRAM_MAX - 30, WIRE_PROGRAM_MAX, 300000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t size = sizes[i]; size < sizes[i] + 30; size += 3) {
      char *code = malloc(size + sizeof begin + sizeof end), printed[32];
      memset(code, 'x', size + sizeof begin);
      memcpy(code, begin, sizeof begin - 1);
      strcpy(code + sizeof begin - 1 + size - sizeof end, end);
      snprintf(printed, sizeof printed, "%zu\n", size - sizeof end);
      expect(sandbox, code, printed);
      free(code);
    }
  brig_sandbox_close(sandbox);
}

/* Nobody looks into the pipes of a short program until it has ended, or filled them. */
static void output_may_be_longer_than_pipes(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  struct brig_request request = program("import sys\nprint('x' * 999999)\n"
                                        "print('y' * 99999, file=sys.stderr)");
  struct brig_result *result = run(sandbox, &request);
  assert_true(result->warm);
  assert_int_equal(result->stdout_size, 1000000);
  assert_int_equal(result->stderr_size, 100000);
  assert_true(result->stdout_data[0] == 'x' && result->stdout_data[999998] == 'x');
  brig_result_free(result);
  brig_sandbox_close(sandbox);
}

/* A worker that was told of a request is there for another. */
static void one_that_fails_as_it_is_opened_leaves_nothing(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  struct brig_request broken = program("print(input())"), sound = program("print(1)");
  struct brig_result *result = NULL;
  pid_t pids[64];
  broken.input_from_fd = 1;
  broken.input_fd = 9999;
  usleep(100 * 1000);
  size_t workers = find_below(getpid(), 3, pids, 64), fds = count_entries("/proc/self/fd");
  for (int i = 0; i < 20; i++) {
    assert_int_equal(brig_sandbox_execute(sandbox, &broken, &result, NULL), BRIG_E_SYSTEM);
    if (i % 2 == 0) usleep(1000); /* until it no longer is awake for it */
  }
  assert_int_equal(find_below(getpid(), 3, pids, 64), workers);
  for (int i = 0; i < 5; i++) {
    result = run(sandbox, &sound);
    assert_true(result->warm);
    assert_string_equal(text(result), "1\n");
    brig_result_free(result);
  }
  assert_int_equal(count_entries("/proc/self/fd"), fds);
  brig_sandbox_close(sandbox);
  assert_int_equal(find_below(getpid(), 1, pids, 64), 0);
}

static void each_execution_has_limits_of_its_own(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  struct brig_request request = program("x = bytearray(64 << 20); print('more')");
  struct brig_result *result = run(sandbox, &request);
  assert_string_equal(text(result), "more\n");
  assert_true(result->warm && result->memory_bytes > 64 << 20);
  brig_result_free(result);
  request.limits.memory_bytes = 48 << 20;
  result = run(sandbox, &request);
  assert_true(result->warm && result->exit_code == 1);
  assert_non_null(strstr((char *)result->stderr_data, "MemoryError"));
  assert_true(result->memory_bytes <= 48 << 20);
  brig_result_free(result);

  request = program("while True: pass");
  request.limits.timeout_ms = 200;
  result = run(sandbox, &request);
  assert_true(result->warm && result->outcome == BRIG_OUTCOME_TIMEOUT);
  brig_result_free(result);

  request = program("print('x' * 1000)");
  request.limits.stdout_bytes = 10;
  result = run(sandbox, &request);
  assert_true(result->warm && result->stdout_size == 10 && result->stdout_dropped == 991);
  brig_result_free(result);

  expect(sandbox, "print('and on')", "and on\n");
  brig_sandbox_close(sandbox);
}

static void fuel_counts_the_requests_work_alone(void **state) {
  struct brig_sandbox *sandbox = open_sandbox(*state);
  struct brig_request request = program("print(1)"), loop = program("while True: pass");
  request.limits.fuel = loop.limits.fuel = UINT64_C(2000000000);
  struct brig_result *cold = run(sandbox, &request);
  assert_true(becomes_warm(sandbox, &request));
  struct brig_result *warm = run(sandbox, &request);
  assert_true(warm->warm && warm->metered && warm->fuel_used > 10000);
  assert_true(warm->fuel_used < cold->fuel_used / 10);
  brig_result_free(cold);
  brig_result_free(warm);
  loop.limits.fuel = 50000000; /* another budget, the same template */
  warm = run(sandbox, &loop);
  assert_true(warm->warm && warm->outcome == BRIG_OUTCOME_FUEL);
  assert_int_equal(warm->fuel_used, 50000000);
  brig_result_free(warm);
  brig_sandbox_close(sandbox);
}

static void exit_codes_and_traps_are_as_they_were(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  static const struct {
    const char *code, *complaint;
    unsigned exit_code;
  } cases[] = {{"raise SystemExit(7)", "", 7},
               {"import sys; sys.exit('reason')", "reason\n", 1},
               {"import os; os._exit(9)", "", 9},
               {"1 / 0", "ZeroDivisionError", 1},
               {"import atexit; atexit.register(print, 'late')", "", 0},
               {"if", "SyntaxError", 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct brig_request request = program(cases[i].code);
    struct brig_result *result = run(sandbox, &request);
    assert_true(result->warm);
    assert_int_equal(result->outcome, BRIG_OUTCOME_EXITED);
    assert_int_equal(result->exit_code, cases[i].exit_code);
    assert_non_null(strstr((char *)result->stderr_data, cases[i].complaint));
    brig_result_free(result);
  }
  expect(sandbox, "import atexit; atexit.register(print, 'late')", "late\n");
  struct brig_request abort_it = program("import os; os.abort()");
  struct brig_result *result = run(sandbox, &abort_it);
  assert_true(result->warm && result->outcome == BRIG_OUTCOME_TRAPPED);
  assert_string_equal(result->trap, "unreachable");
  brig_result_free(result);
  brig_sandbox_close(sandbox);
}

/* The path of an installed interpreter, as a client of today names it. */
static char *module_of(const char *name) {
  struct brig_config *config = NULL;
  struct brig_error err;
  const struct guest *guest;
  char *directory = NULL, *path = NULL;
  assert_int_equal(brig_config_load(NULL, &config, &err), 0);
  assert_int_equal(brig__config_guests_directory(config, &directory, &err), 0);
  assert_int_equal(brig__guest_find(directory, name, GUEST_ANY, &guest, &err), 0);
  assert_int_equal(brig__guest_path(directory, guest, &path, &err), 0);
  brig_config_free(config);
  free(directory);
  return path;
}

static void todays_clients_run_warm(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  const char *const argv[] = {"python", "-c", "import sys; exec(sys.stdin.read())", NULL};
  struct brig_request request = BRIG_REQUEST_INIT;
  char *path = module_of("python");
  request.module_path = path;
  request.argv = argv;
  request.input = "print(sys.argv, __name__, sys.stdin.read() == '')";
  request.input_size = strlen(request.input);
  struct brig_result *result = run(sandbox, &request);
  assert_true(result->warm);
  assert_string_equal(text(result), "['-c'] __main__ True\n");
  brig_result_free(result);
  free(path);
  brig_sandbox_close(sandbox);
}

static void a_zygote_is_replaced_and_hash_seeds_with_it(void **state) {
  const struct setting *how = *state;
  struct setting settings[] = {how[0], {"templates.forks_per_zygote", "5"}, {NULL, NULL}};
  struct brig_sandbox *sandbox = open_warm(settings);
  struct brig_request request = program("print(hash('a'))");
  char first[32] = "";
  int changed = 0;
  for (int i = 0; i < 200 && changed == 0; i++) {
    struct brig_result *result = run(sandbox, &request);
    assert_true(result->warm); /* the old one serves while the new one starts */
    if (first[0] == '\0') snprintf(first, sizeof first, "%s", text(result));
    changed += strcmp(first, text(result)) != 0;
    brig_result_free(result);
    usleep(5000);
  }
  assert_true(changed > 0);
  brig_sandbox_close(sandbox);
}

/* Of the process alone, not shared with its zygote. -1 if that may not be seen. */
static long private_kib(pid_t pid) {
  char path[64], line[128];
  long sum = 0, one;
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  FILE *file = fopen(path, "re");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) sum = -1;
  while (sum >= 0 && fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "Private_%*[A-Za-z]: %ld kB", &one) == 1) sum += one;
  if (file != NULL) fclose(file);
  return sum;
}

/* Also after a zygote has been replaced: its pages to be copied are found anew. */
static void a_ready_worker_has_little_of_its_own(void **state) {
  (void)state;
  static const struct setting settings[] = {
      {"named", "a: {guest: python}"}, {"templates.forks_per_zygote", "5"}, {NULL, NULL}};
  struct brig_sandbox *sandbox = open_sandbox(settings);
  for (int round = 0; round < 3; round++) {
    pid_t workers[8];
    usleep(500 * 1000);
    size_t count = find_below(getpid(), 3, workers, 8);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
      long kib = private_kib(workers[i]);
      if (kib < 0) print_message("not allowed to look at a worker's memory\n");
      assert_true(kib < 1024);
      if (kib >= 0) assert_true(kib > 100);
    }
    for (int i = 0; i < 6; i++) expect(sandbox, "", "");
  }
  brig_sandbox_close(sandbox);
}

static void kill_all(int depth) {
  pid_t pids[32];
  size_t count = find_below(getpid(), depth, pids, 32);
  for (size_t i = 0; i < count; i++) kill(pids[i], SIGKILL);
}

static void what_dies_is_replaced(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  struct brig_request request = program("print(1)");
  for (int depth = 2; depth <= 3; depth++) {
    kill_all(depth); /* idle zygotes; then ready workers */
    usleep(50 * 1000);
    expect(sandbox, "print('still here')", "still here\n");
    assert_true(becomes_warm(sandbox, &request));
  }
  brig_sandbox_close(sandbox);
}

static void *kill_soon(void *depth) {
  usleep(200 * 1000);
  kill_all(*(int *)depth);
  return NULL;
}

static void a_death_in_the_middle_is_told(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  struct brig_request loop = program("while True: pass"), request = program("print(1)");
  pthread_t thread;
  for (int depth = 2; depth <= 3; depth++) {
    struct brig_result *result = NULL;
    struct brig_error err = {0};
    pthread_create(&thread, NULL, kill_soon, &depth);
    int rc = brig_sandbox_execute(sandbox, &loop, &result, &err);
    pthread_join(thread, NULL);
    if (depth == 3) assert_true(rc == 0 && result->outcome == BRIG_OUTCOME_KILLED);
    if (depth == 2 && rc != BRIG_E_LOST)
      fail_msg("%s%s", err.message, result ? result->reason : "");
    if (rc == 0) brig_result_free(result);
    assert_true(becomes_warm(sandbox, &request));
  }
  brig_sandbox_close(sandbox);
}

static void *trigger_soon(void *cancel) {
  usleep(100 * 1000);
  brig_cancel_trigger(cancel);
  return NULL;
}

static void a_warm_execution_can_be_cancelled(void **state) {
  struct brig_sandbox *sandbox = open_warm(*state);
  struct brig_request loop = program("while True: pass");
  pthread_t thread;
  assert_int_equal(brig_cancel_new(&loop.cancel, NULL), 0);
  pthread_create(&thread, NULL, trigger_soon, loop.cancel);
  struct brig_result *result = run(sandbox, &loop);
  pthread_join(thread, NULL);
  assert_true(result->warm && result->outcome == BRIG_OUTCOME_CANCELLED);
  brig_result_free(result);
  brig_cancel_free(loop.cancel);
  brig_sandbox_close(sandbox);
}

static void any_command_that_reads_its_input_is_warmed_for_its_tenant(void **state) {
  struct brig_sandbox *sandbox = open_sandbox(*state);
  struct brig_request request = BRIG_REQUEST_INIT;
  request.module = echo_module;
  request.module_size = sizeof echo_module;
  request.input = "words";
  request.input_size = 5;
  request.tenant = "one";
  assert_true(becomes_warm(sandbox, &request));
  struct brig_result *result = run(sandbox, &request);
  assert_true(result->warm);
  assert_string_equal(text(result), "words1"); /* and how often it has started: once */
  brig_result_free(result);
  request.tenant = "two";
  result = run(sandbox, &request);
  assert_false(result->warm);
  assert_string_equal(text(result), "words1");
  brig_result_free(result);
  brig_sandbox_close(sandbox);
}

static void what_does_not_wait_for_input_is_never_warm(void **state) {
  struct brig_sandbox *sandbox = open_sandbox(*state);
  static const struct {
    const unsigned char *module;
    size_t size;
    enum brig_outcome outcome;
  } cases[] = {{hello_module, sizeof hello_module, BRIG_OUTCOME_EXITED},
               {loop_module, sizeof loop_module, BRIG_OUTCOME_FUEL},
               {prompt_module, sizeof prompt_module, BRIG_OUTCOME_EXITED}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct brig_request request = BRIG_REQUEST_INIT;
    request.module = cases[i].module;
    request.module_size = cases[i].size;
    request.limits.fuel = 1000000;
    for (int round = 0; round < 8; round++) {
      struct brig_result *result = run(sandbox, &request);
      assert_false(result->warm);
      assert_int_equal(result->outcome, cases[i].outcome);
      brig_result_free(result);
      usleep(10 * 1000);
    }
  }
  brig_sandbox_close(sandbox);
}

static struct brig_sandbox *shared;

static void *run_loop(void *request) {
  brig_result_free(run(shared, request));
  return NULL;
}

static void one_too_many_is_told_that_brig_is_busy(void **state) {
  (void)state;
  static const struct setting one[] = {
      {"pool.max_workers", "1"}, {"pool.queue_timeout_secs", "0.05"}, {NULL, NULL}};
  struct brig_request loop = program("while True: pass"), request = program("");
  struct brig_result *result = NULL;
  struct brig_error err = {0};
  pthread_t thread;
  pid_t worker;
  shared = open_sandbox(one);
  assert_int_equal(brig_cancel_new(&loop.cancel, NULL), 0);
  pthread_create(&thread, NULL, run_loop, &loop);
  while (find_below(getpid(), 3, &worker, 1) == 0) usleep(10 * 1000);
  assert_int_equal(brig_sandbox_execute(shared, &request, &result, &err), BRIG_E_BUSY);
  assert_non_null(strstr(err.message, "pool.max_workers"));
  brig_cancel_trigger(loop.cancel);
  pthread_join(thread, NULL);
  expect(shared, "print('free again')", "free again\n");
  brig_cancel_free(loop.cancel);
  brig_sandbox_close(shared);
}

#define THREADS 8
#define EACH    250

static void *run_many(void *failures) {
  for (int i = 0; i < EACH; i++) {
    struct brig_request request = program("print('hello')");
    struct brig_result *result = NULL;
    if (brig_sandbox_execute(shared, &request, &result, NULL) < 0 || !result->warm ||
        strcmp(text(result), "hello\n") != 0)
      __atomic_fetch_add((int *)failures, 1, __ATOMIC_RELAXED);
    brig_result_free(result);
  }
  return NULL;
}

static int burst(void) {
  pthread_t threads[THREADS];
  int failures = 0;
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, run_many, &failures);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  return failures;
}

/* Bursts fork on demand what is not ready, and nothing stays. */
static void bursts_leave_nothing_behind(void **state) {
  shared = open_warm(*state);
  assert_int_equal(burst(), 0);
  size_t fds = count_entries("/proc/self/fd");
  assert_int_equal(burst(), 0);
  assert_int_equal(count_entries("/proc/self/fd"), fds);
  pid_t pids[64];
  size_t workers = SIZE_MAX;
  for (int i = 0; i < 100 && workers > 2; i++) {
    usleep(20 * 1000);
    workers = find_below(getpid(), 3, pids, 64);
  }
  assert_true(workers <= 2);
  brig_sandbox_close(shared);
  assert_int_equal(find_below(getpid(), 1, pids, 64), 0);
}

#define BOTH_WAYS(test)                                  \
  {#test " (ready)", test, NULL, NULL, (void *)ready}, { \
#test " (forked)", test, NULL, NULL, (void *)forked  \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      BOTH_WAYS(what_is_seen_twice_is_warm_the_next_time),
      cmocka_unit_test(seen_0_means_never),
      BOTH_WAYS(named_templates_are_up_when_the_sandbox_is),
      BOTH_WAYS(one_that_cannot_be_made_is_a_notice),
      BOTH_WAYS(no_two_executions_share_a_random_value),
      BOTH_WAYS(nothing_of_one_execution_is_in_the_next),
      BOTH_WAYS(directories_have_the_rights_of_the_request),
      BOTH_WAYS(input_is_the_programs_own),
      BOTH_WAYS(a_program_may_have_any_length),
      BOTH_WAYS(output_may_be_longer_than_pipes),
      BOTH_WAYS(one_that_fails_as_it_is_opened_leaves_nothing),
      BOTH_WAYS(each_execution_has_limits_of_its_own),
      BOTH_WAYS(fuel_counts_the_requests_work_alone),
      BOTH_WAYS(exit_codes_and_traps_are_as_they_were),
      BOTH_WAYS(todays_clients_run_warm),
      BOTH_WAYS(a_zygote_is_replaced_and_hash_seeds_with_it),
      cmocka_unit_test(a_ready_worker_has_little_of_its_own),
      BOTH_WAYS(what_dies_is_replaced),
      BOTH_WAYS(a_death_in_the_middle_is_told),
      BOTH_WAYS(a_warm_execution_can_be_cancelled),
      BOTH_WAYS(any_command_that_reads_its_input_is_warmed_for_its_tenant),
      BOTH_WAYS(what_does_not_wait_for_input_is_never_warm),
      cmocka_unit_test(one_too_many_is_told_that_brig_is_busy),
      BOTH_WAYS(bursts_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
