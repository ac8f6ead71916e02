/* What is counted, and how it is written down. */
#include <brig/brig.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fd.h"
#include "server/metrics.h"

static struct metrics *metrics;

static int setup(void **state) {
  (void)state;
  metrics = brig__metrics_new();
  return metrics == NULL;
}

static int teardown(void **state) {
  (void)state;
  brig__metrics_free(metrics);
  return 0;
}

/* By a linter that is not ours to bend: tests/support/prometheus.py. */
static void lint(const char *text) {
  FILE *linter = popen("python3 -B tests/support/prometheus.py", "we");
  assert_non_null(linter);
  fputs(text, linter);
  assert_int_equal(pclose(linter), 0);
}

static void expect_in(const char *text, const char *lines) {
  if (strstr(text, lines) == NULL) fail_msg("%s: not in\n%s", lines, text);
}

static void expect(const char *lines) {
  size_t size = 0;
  CLEANUP_FREE char *text = brig__metrics_text(metrics, &size);
  assert_int_equal(strlen(text), size);
  expect_in(text, lines);
}

static void counters_and_gauges_are_written_as_they_are(void **state) {
  (void)state;
  brig__metrics_add(metrics, METRIC_tool_executions, 1, "code_executor", "success");
  brig__metrics_add(metrics, METRIC_tool_executions, UINT64_C(1) << 60, "code_executor", "error");
  brig__metrics_add(metrics, METRIC_tool_executions, 2, "code_executor", "success");
  brig__metrics_set(metrics, METRIC_workers, 5);
  brig__metrics_set(metrics, METRIC_received_bytes, 7);
  expect(
      "# HELP agent_core_tool_executions_total Executions of tools; those of the sandbox itself "
      "are of the tool \"wasi\".\n"
      "# TYPE agent_core_tool_executions_total counter\n"
      "agent_core_tool_executions_total{tool_name=\"code_executor\",status=\"success\"} 3\n"
      "agent_core_tool_executions_total{tool_name=\"code_executor\",status=\"error\"} "
      "1152921504606846976\n");
  expect("# TYPE brig_workers gauge\nbrig_workers 5\n");
  expect("# TYPE brig_received_bytes_total counter\nbrig_received_bytes_total 7\n");
  expect("\nbrig_queue_length 0\n"); /* there before anything happens */
}

static void histograms_have_cumulative_buckets(void **state) {
  (void)state;
  static const double values[] = {0, .005, .0051, 1, 60, 61};
  for (size_t i = 0; i < 6; i++)
    brig__metrics_observe(metrics, METRIC_task_duration, values[i], "simple");
  expect(
      "# TYPE agent_core_task_duration_seconds histogram\n"
      "agent_core_task_duration_seconds_bucket{mode=\"simple\",le=\"0.005\"} 2\n"
      "agent_core_task_duration_seconds_bucket{mode=\"simple\",le=\"0.01\"} 3\n");
  expect("{mode=\"simple\",le=\"0.5\"} 3\n");
  expect("{mode=\"simple\",le=\"1\"} 4\n");
  expect(
      "{mode=\"simple\",le=\"60\"} 5\n"
      "agent_core_task_duration_seconds_bucket{mode=\"simple\",le=\"+Inf\"} 6\n"
      "agent_core_task_duration_seconds_sum{mode=\"simple\"} 122.0101\n"
      "agent_core_task_duration_seconds_count{mode=\"simple\"} 6\n");
  brig__metrics_observe(metrics, METRIC_fuel, 5e6, NULL);
  expect("\nbrig_fuel_used_bucket{le=\"1000000\"} 0\nbrig_fuel_used_bucket{le=\"10000000\"} 1\n");
}

static void labels_are_escaped(void **state) {
  (void)state;
  brig__metrics_add(metrics, METRIC_grpc_requests, 1, "a\"b\\c\nd", "e}");
  expect("{method=\"a\\\"b\\\\c\\nd\",status=\"e}\"} 1\n");
}

static void series_are_bounded(void **state) {
  (void)state;
  static char names[1000][16];
  for (int i = 0; i < 1000; i++) {
    snprintf(names[i], sizeof names[i], "m%d", i);
    brig__metrics_add(metrics, METRIC_grpc_requests, 1, names[i], "OK");
    brig__metrics_observe(metrics, METRIC_grpc_request_duration, 1, names[i]);
  }
  brig__metrics_add(metrics, METRIC_grpc_requests, 1, "m0", "OK"); /* those there go on */
  expect("{method=\"m0\",status=\"OK\"} 2\n");
  expect("{method=\"m62\",status=\"OK\"} 1\n"
         "agent_core_grpc_requests_total{method=\"other\",status=\"other\"} 937\n#");
  expect("agent_core_grpc_request_duration_seconds_count{method=\"other\"} 937\n");
  brig__metrics_add(metrics, METRIC_tasks, 1, NULL, NULL);
  expect("agent_core_tasks_total{mode=\"other\",status=\"other\"} 1\n");
}

static void a_result_is_counted_whole(void **state) {
  (void)state;
  struct brig_result result = {.outcome = BRIG_OUTCOME_EXITED,
                               .stdout_size = 3,
                               .stderr_dropped = 4,
                               .metered = 1,
                               .accounted = 1,
                               .fuel_used = 20000,
                               .memory_bytes = 1 << 20,
                               .rss_bytes = 3 << 20,
                               .queue_us = 4000,
                               .start_us = 700,
                               .run_us = 2000,
                               .wall_us = 7000,
                               .warm = 1,
                               .code_cached = 1};
  brig__metrics_result(metrics, &result);
  result.exit_code = 1;
  brig__metrics_result(metrics, &result);
  result = (struct brig_result){.outcome = BRIG_OUTCOME_TIMEOUT, .run_us = 1};
  brig__metrics_result(metrics, &result);
  result = (struct brig_result){.outcome = BRIG_OUTCOME_CANCELLED}; /* before it started */
  brig__metrics_result(metrics, &result);
  expect("{tool_name=\"wasi\",status=\"success\"} 1\n");
  expect("{tool_name=\"wasi\",status=\"error\"} 3\n");
  expect("brig_executions_total{outcome=\"exited\",start=\"warm\"} 2\n");
  expect("brig_executions_total{outcome=\"timeout\",start=\"cold\"} 1\n");
  expect("brig_executions_total{outcome=\"cancelled\",start=\"cold\"} 1\n");
  expect("brig_start_seconds_bucket{start=\"warm\",le=\"0.001\"} 2\n");
  expect("brig_start_seconds_sum{start=\"warm\"} 0.0014\n");
  expect("brig_run_seconds_count 3\n");
  expect("brig_queue_wait_seconds_sum 0.008\n");
  expect("brig_fuel_used_sum 40000\n");
  expect("brig_guest_memory_bytes_bucket{le=\"1048576\"} 2\n");
  expect("brig_worker_memory_bytes_sum 6291456\n");
  expect("brig_code_cache_total{result=\"hit\"} 2\nbrig_code_cache_total{result=\"miss\"} 1\n");
  expect("brig_output_bytes_total{stream=\"stdout\"} 6\n");
  expect("brig_output_dropped_bytes_total{stream=\"stderr\"} 8\n");
}

static void all_of_it_passes_the_linter(void **state) {
  (void)state;
  size_t size;
  CLEANUP_FREE char *empty = brig__metrics_text(metrics, &size);
  lint(empty);
  a_result_is_counted_whole(state);
  labels_are_escaped(state);
  brig__metrics_observe(metrics, METRIC_fuel, 1e13, NULL);
  CLEANUP_FREE char *full = brig__metrics_text(metrics, &size);
  lint(full);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(counters_and_gauges_are_written_as_they_are),
      TEST(histograms_have_cumulative_buckets),
      TEST(labels_are_escaped),
      TEST(series_are_bounded),
      TEST(a_result_is_counted_whole),
      TEST(all_of_it_passes_the_linter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
