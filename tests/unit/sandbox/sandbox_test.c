/* The library as a program with threads uses it: real processes, real jail. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "support/config.h"
#include "support/count_entries.h"
#include "support/modules.h"
#include "support/processes.h"

static struct brig_sandbox *sandbox;

static struct brig_config *configure(void) {
  struct brig_config *config = NULL;
  struct brig_error err;
  assert_int_equal(brig_config_defaults(&config, &err), 0);
  configure_for_tests(config);
  return config;
}

static struct brig_sandbox *open_sandbox(void) {
  struct brig_sandbox *opened = NULL;
  struct brig_config *config = configure();
  struct brig_error err = {0};
  if (brig_sandbox_open(config, &opened, &err) < 0) fail_msg("%s", err.message);
  brig_config_free(config);
  return opened;
}

static int setup(void **state) {
  (void)state;
  sandbox = open_sandbox();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  brig_sandbox_close(sandbox);
  return 0;
}

static struct brig_request request_for(const uint8_t *module, size_t size) {
  struct brig_request request = BRIG_REQUEST_INIT;
  request.module = module;
  request.module_size = size;
  return request;
}

static struct brig_result *run(const struct brig_request *request) {
  struct brig_result *result = NULL;
  struct brig_error err = {0};
  if (brig_sandbox_execute(sandbox, request, &result, &err) < 0) fail_msg("%s", err.message);
  return result;
}

static void a_module_as_bytes_runs_and_is_accounted_for(void **state) {
  (void)state;
  struct brig_request request = request_for(hello_module, sizeof hello_module);
  struct brig_result *result = run(&request);
  assert_int_equal(result->outcome, BRIG_OUTCOME_EXITED);
  assert_int_equal(result->exit_code, 0);
  assert_string_equal((char *)result->stdout_data, "hello\n");
  assert_true(result->metered && result->fuel_used > 0);
  assert_int_equal(result->memory_bytes, 65536);
  assert_true(result->wall_us >= result->run_us && result->rss_bytes > 0);
  brig_result_free(result);
}

struct collected {
  char text[64];
  size_t size;
};

static void collect(void *context, enum brig_stream stream, const void *data, size_t size) {
  struct collected *collected = context;
  assert_int_equal(stream, BRIG_STDOUT);
  memcpy(collected->text + collected->size, data, size);
  collected->size += size;
}

static void output_can_be_had_as_it_comes(void **state) {
  (void)state;
  struct collected collected = {.size = 0};
  struct brig_request request = request_for(hello_module, sizeof hello_module);
  request.on_output = collect;
  request.on_output_context = &collected;
  request.discard_output = 1;
  struct brig_result *result = run(&request);
  assert_string_equal(collected.text, "hello\n");
  assert_int_equal(result->stdout_size, 0);
  brig_result_free(result);
}

static void *trigger_soon(void *cancel) {
  usleep(200 * 1000);
  brig_cancel_trigger(cancel);
  return NULL;
}

static void another_thread_can_cancel_a_call(void **state) {
  (void)state;
  struct brig_cancel *cancel = NULL;
  pthread_t thread;
  assert_int_equal(brig_cancel_new(&cancel, NULL), 0);
  struct brig_request request = request_for(loop_module, sizeof loop_module);
  request.limits.fuel = BRIG_UNLIMITED;
  request.cancel = cancel;
  pthread_create(&thread, NULL, trigger_soon, cancel);
  struct brig_result *result = run(&request);
  pthread_join(thread, NULL);
  assert_int_equal(result->outcome, BRIG_OUTCOME_CANCELLED);
  assert_true(result->wall_us < 5 * 1000 * 1000);
  brig_result_free(result);
  brig_cancel_free(cancel);
}

static struct brig_counts count(void) {
  struct brig_counts counts = BRIG_COUNTS_INIT;
  brig_sandbox_counts(sandbox, &counts);
  return counts;
}

static void *run_until_cancelled(void *request) {
  brig_result_free(run(request));
  return NULL;
}

static void what_is_at_work_is_counted(void **state) {
  (void)state;
  struct brig_cancel *cancel = NULL;
  pthread_t thread;
  assert_int_equal(brig_cancel_new(&cancel, NULL), 0);
  struct brig_request request = request_for(loop_module, sizeof loop_module);
  request.limits.fuel = BRIG_UNLIMITED;
  request.cancel = cancel;
  assert_int_equal(count().working, 0);
  pthread_create(&thread, NULL, run_until_cancelled, &request);
  while (count().working != 1) usleep(1000);
  assert_int_equal(count().waiting, 0);
  assert_int_equal(count().zygotes, 1);
  assert_int_equal(count().templates, 0);
  brig_cancel_trigger(cancel);
  pthread_join(thread, NULL);
  assert_int_equal(count().working, 0);
  brig_cancel_free(cancel);
}

static void callers_of_another_version_are_given_what_they_know(void **state) {
  (void)state;
  struct brig_counts older = BRIG_COUNTS_INIT;
  struct {
    struct brig_counts known;
    uint64_t unknown;
  } newer = {{.size = sizeof newer}, 7};
  older.size = offsetof(struct brig_counts, zygotes);
  older.zygotes = 7;
  brig_sandbox_counts(sandbox, &older);
  assert_int_equal(older.zygotes, 7);
  brig_sandbox_counts(sandbox, &newer.known);
  assert_int_equal(newer.known.zygotes, 1);
  assert_int_equal(newer.unknown, 7);
}

static void a_request_must_name_one_thing_to_run(void **state) {
  (void)state;
  struct brig_request request = BRIG_REQUEST_INIT;
  struct brig_result *result = NULL;
  struct brig_error err;
  assert_int_equal(brig_sandbox_execute(sandbox, &request, &result, &err), BRIG_E_INVALID);
  request.module = hello_module;
  request.module_size = sizeof hello_module;
  request.guest = "python";
  assert_int_equal(brig_sandbox_execute(sandbox, &request, &result, &err), BRIG_E_INVALID);
  assert_null(result);
}

static void a_limit_above_its_ceiling_is_refused_by_name(void **state) {
  (void)state;
  struct brig_request request = request_for(hello_module, sizeof hello_module);
  struct brig_result *result = NULL;
  struct brig_error err;
  request.limits.timeout_ms = UINT64_C(1) << 40;
  assert_int_equal(brig_sandbox_execute(sandbox, &request, &result, &err), BRIG_E_LIMIT);
  assert_non_null(strstr(err.message, "ceiling.execution_timeout_secs"));
}

static void permissions_are_checked_before_anything_else(void **state) {
  (void)state;
  const struct brig_mount file = {"/etc/passwd", NULL, 0}, link = {"/proc/self/cwd", NULL, 0},
                          dots = {"/usr/../etc", NULL, 0}, none = {"/no/such/place", NULL, 0};
  const struct brig_mount *mounts[] = {&file, &link, &dots, &none};
  for (size_t i = 0; i < 4; i++) {
    struct brig_request request = request_for((const uint8_t *)"x", 1);
    struct brig_result *result = NULL;
    struct brig_error err;
    request.mounts = mounts[i];
    request.mount_count = 1;
    assert_int_equal(brig_sandbox_execute(sandbox, &request, &result, &err), BRIG_E_PERMISSION);
    assert_int_equal(brig_sandbox_validate_permissions(sandbox, &request, &err), BRIG_E_PERMISSION);
    assert_string_equal(err.stage, "permissions");
  }
}

static long resident_kib(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  assert_int_equal(fscanf(file, "%*s %ld", &pages), 1);
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

#define THREADS 16
#define EACH    64

static void *run_many(void *failures) {
  for (int i = 0; i < EACH; i++) {
    bool loops = i % 16 == 7;
    struct brig_request request = loops ? request_for(loop_module, sizeof loop_module)
                                        : request_for(hello_module, sizeof hello_module);
    struct brig_result *result = NULL;
    if (loops) request.limits.fuel = 100000;
    if (brig_sandbox_execute(sandbox, &request, &result, NULL) < 0) {
      ++*(int *)failures;
      continue;
    }
    if (loops ? result->outcome != BRIG_OUTCOME_FUEL
              : strcmp((char *)result->stdout_data, "hello\n") != 0)
      ++*(int *)failures;
    brig_result_free(result);
  }
  return NULL;
}

static void run_from_threads(void) {
  pthread_t threads[THREADS];
  int failures[THREADS] = {0};
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, run_many, &failures[i]);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(failures[i], 0);
  }
}

/* Until no template is being tried in the background. */
static void settle(void) {
  pid_t launchers[8];
  for (int quiet = 0; quiet < 4; usleep(50 * 1000))
    quiet = find_below(getpid(), 1, launchers, 8) > 1 ? 0 : quiet + 1;
}

static void a_thousand_executions_leave_nothing_behind(void **state) {
  (void)state;
  run_from_threads(); /* arenas and stacks of threads come once */
  settle();
  size_t files = count_entries("/proc/self/fd");
  long memory = resident_kib();
  run_from_threads();
  settle();
  assert_int_equal(count_entries("/proc/self/fd"), files);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed, to find its users */
  assert_true(resident_kib() < memory + 8 * 1024);
#else
  (void)memory;
#endif
}

static pid_t find_zygote(void) {
  pid_t launcher, zygote;
  assert_true(find_below(getpid(), 1, &launcher, 1) == 1);
  assert_true(find_below(launcher, 1, &zygote, 1) == 1);
  return zygote;
}

static void *kill_zygote(void *unused) {
  (void)unused;
  usleep(200 * 1000);
  kill(find_zygote(), SIGKILL);
  return NULL;
}

static void a_killed_zygote_fails_its_calls_clearly_and_is_replaced(void **state) {
  (void)state;
  pthread_t thread;
  struct brig_result *result = NULL;
  struct brig_error err;
  struct brig_request request = request_for(loop_module, sizeof loop_module);
  request.limits.fuel = BRIG_UNLIMITED;
  pthread_create(&thread, NULL, kill_zygote, NULL);
  assert_int_equal(brig_sandbox_execute(sandbox, &request, &result, &err), BRIG_E_LOST);
  pthread_join(thread, NULL);
  a_module_as_bytes_runs_and_is_accounted_for(state);
  kill(find_zygote(), SIGKILL); /* and one that was idle */
  usleep(100 * 1000);
  a_module_as_bytes_runs_and_is_accounted_for(state);
}

static void no_process_outlives_its_host(void **state) {
  (void)state;
  pid_t pids[3] = {0};
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t host = fork();
  if (host == 0) {
    sandbox = open_sandbox();
    pthread_t thread;
    struct brig_request request = request_for(loop_module, sizeof loop_module);
    request.limits.fuel = BRIG_UNLIMITED;
    pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))run, &request);
    usleep(300 * 1000);
    find_below(getpid(), 1, &pids[0], 1);
    find_below(pids[0], 1, &pids[1], 1);
    find_below(pids[1], 1, &pids[2], 1);
    (void)!write(ends[1], pids, sizeof pids);
    pause();
  }
  assert_int_equal(read(ends[0], pids, sizeof pids), sizeof pids);
  for (int i = 0; i < 3; i++) assert_int_equal(kill(pids[i], 0), 0);
  kill(host, SIGKILL);
  waitpid(host, NULL, 0);
  usleep(500 * 1000);
  for (int i = 0; i < 3; i++) {
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pids[i]);
    FILE *file = fopen(path, "re"); /* gone, or a zombie whose init is slow */
    if (file == NULL) continue;
    assert_non_null(fgets(line, sizeof line, file));
    assert_non_null(strstr(line, ") Z "));
    fclose(file);
  }
  close(ends[0]);
  close(ends[1]);
}

static void a_wall_that_does_not_exist_cannot_be_required(void **state) {
  (void)state;
  struct brig_config *config = configure();
  struct brig_sandbox *opened = NULL;
  struct brig_error err;
  assert_int_equal(brig_config_set(config, "jail.require", "moat", &err), 0);
  assert_int_equal(brig_sandbox_open(config, &opened, &err), BRIG_E_CONFIG);
  assert_non_null(strstr(err.message, "moat"));
  brig_config_free(config);
}

static void an_allowed_path_may_not_hold_what_is_brigs(void **state) {
  (void)state;
  struct brig_config *config = configure();
  struct brig_sandbox *opened = NULL;
  struct brig_error err;
  brig_config_set(config, "cache.directory", "/usr/share/brig-cache", &err);
  brig_config_set(config, "wasi.allowed_paths", "/usr/share", &err);
  assert_int_equal(brig_sandbox_open(config, &opened, &err), BRIG_E_PERMISSION);
  assert_non_null(strstr(err.message, "/usr/share/brig-cache"));
  brig_config_free(config);
}

static void an_allowed_path_that_is_not_there_is_a_warning(void **state) {
  (void)state;
  struct brig_config *config = configure();
  struct brig_sandbox *opened = NULL;
  struct brig_error err;
  brig_config_set(config, "wasi.allowed_paths", "/no/such/place", &err);
  assert_int_equal(brig_sandbox_open(config, &opened, &err), 0);
  assert_non_null(strstr(brig_sandbox_notice(opened, 0), "/no/such/place"));
  assert_null(brig_sandbox_notice(opened, 1));
  brig_sandbox_close(opened);
  brig_config_free(config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_module_as_bytes_runs_and_is_accounted_for),
      cmocka_unit_test(output_can_be_had_as_it_comes),
      cmocka_unit_test(another_thread_can_cancel_a_call),
      cmocka_unit_test(what_is_at_work_is_counted),
      cmocka_unit_test(callers_of_another_version_are_given_what_they_know),
      cmocka_unit_test(a_request_must_name_one_thing_to_run),
      cmocka_unit_test(a_limit_above_its_ceiling_is_refused_by_name),
      cmocka_unit_test(permissions_are_checked_before_anything_else),
      cmocka_unit_test(a_thousand_executions_leave_nothing_behind),
      cmocka_unit_test(a_killed_zygote_fails_its_calls_clearly_and_is_replaced),
      cmocka_unit_test(no_process_outlives_its_host),
      cmocka_unit_test(a_wall_that_does_not_exist_cannot_be_required),
      cmocka_unit_test(an_allowed_path_may_not_hold_what_is_brigs),
      cmocka_unit_test(an_allowed_path_that_is_not_there_is_a_warning),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
