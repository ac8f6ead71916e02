/* Enforcement: the statuses of the contract, and that no client can wear it out. Time is
 * what the test says it is. */
#include <brig/brig.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fd.h"
#include "server/enforcement.h"

#define SECOND UINT64_C(1000000)

static struct brig_config *config;
static struct metrics *metrics;
static struct enforcement *enforcement;

static void set(const char *key, const char *value) {
  struct brig_error err;
  if (brig_config_set(config, key, value, &err) < 0) fail_msg("%s", err.message);
}

static int setup(void **state) {
  (void)state;
  metrics = brig__metrics_new();
  return brig_config_defaults(&config, NULL) < 0 || metrics == NULL;
}

static int teardown(void **state) {
  (void)state;
  brig__enforcement_close(enforcement);
  brig__metrics_free(metrics);
  brig_config_free(config);
  return 0;
}

static void start(void) {
  struct brig_error err;
  const struct brig_settings *settings = brig__config_settings(config);
  if (brig__enforcement_open(settings, metrics, &enforcement, &err) < 0)
    fail_msg("%s", err.message);
}

static struct enforcement_request by(const char *tenant, const char *user) {
  return (struct enforcement_request){.tenant = tenant, .user = user, .user_size = strlen(user)};
}

static struct enforcement_ticket ticket;

static enum enforcement_verdict begin(const char *user, uint64_t now_us) {
  struct enforcement_request request = by(NULL, user);
  return brig__enforcement_begin(enforcement, &request, now_us, &ticket);
}

static void end(enum rpc_status status, uint64_t now_us) {
  brig__enforcement_end(enforcement, &ticket, status, now_us);
}

/* One whole call. */
static void call(const char *user, enum rpc_status status, uint64_t now_us) {
  assert_int_equal(begin(user, now_us), ENFORCEMENT_ALLOWED);
  end(status, now_us);
}

static void expect_metric(const char *line) {
  size_t size;
  CLEANUP_FREE char *text = brig__metrics_text(metrics, &size);
  if (strstr(text, line) == NULL) fail_msg("%s: not in\n%s", line, text);
}

static void clients_are_told_what_the_contract_says(void **state) {
  (void)state;
  static const struct {
    enum enforcement_verdict verdict;
    enum rpc_status status;
    const char *message;
  } told[] = {{ENFORCEMENT_TIMEOUT, RPC_DEADLINE_EXCEEDED, "timeout"},
              {ENFORCEMENT_RATE_LIMIT, RPC_RESOURCE_EXHAUSTED, "rate_limited"},
              {ENFORCEMENT_CIRCUIT_OPEN, RPC_UNAVAILABLE, "circuit_open"},
              {ENFORCEMENT_TOKEN_LIMIT, RPC_RESOURCE_EXHAUSTED, "token_limit"},
              {ENFORCEMENT_ALLOWED, RPC_OK, ""}};
  for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
    assert_int_equal(brig__enforcement_status(told[i].verdict), told[i].status);
    assert_string_equal(brig__enforcement_message(told[i].verdict), told[i].message);
  }
  start();
  assert_int_equal(brig__enforcement_timeout_us(enforcement), 30 * SECOND);
}

static void a_second_has_so_many_calls_and_as_many_may_come_at_once(void **state) {
  (void)state;
  start();
  for (int i = 0; i < 10; i++) call("u", RPC_OK, SECOND);
  assert_int_equal(begin("u", SECOND), ENFORCEMENT_RATE_LIMIT);
  assert_int_equal(begin("u", SECOND + 99999), ENFORCEMENT_RATE_LIMIT);
  call("u", RPC_OK, SECOND + 100000);
  assert_int_equal(begin("u", SECOND + 100000), ENFORCEMENT_RATE_LIMIT);
  assert_int_equal(begin("u", 0), ENFORCEMENT_RATE_LIMIT); /* a clock that goes back */
  for (int i = 0; i < 5; i++) call("u", RPC_OK, 1000 * SECOND); /* five are left */
  for (int i = 0; i < 10; i++) call("u", RPC_OK, 1000000 * SECOND);
  assert_int_equal(begin("u", 1000000 * SECOND), ENFORCEMENT_RATE_LIMIT);
  expect_metric("agent_core_enforcement_drops_total{reason=\"rate_limit\"} 5\n");
  expect_metric("agent_core_enforcement_allowed_total{outcome=\"success\"} 26\n");
}

static void keys_are_a_tenant_and_a_user(void **state) {
  (void)state;
  struct enforcement_request requests[] = {by("a", "ub"), by("b", "ub"), by(NULL, "u"),
                                           by("au", "b"), by("a", "ub\n"), by(NULL, "anonymous")};
  start();
  for (size_t i = 0; i < 6; i++)
    for (int n = 0; n < 11; n++)
      assert_int_equal(brig__enforcement_begin(enforcement, &requests[i], 0, &ticket),
                       n < 10 ? ENFORCEMENT_ALLOWED : ENFORCEMENT_RATE_LIMIT);
  /* Without a user one is anonymous, and a 0 byte is a byte. */
  assert_int_equal(begin("", 0), ENFORCEMENT_RATE_LIMIT);
  struct enforcement_request zero = {.user = "u\0x", .user_size = 3};
  assert_int_equal(brig__enforcement_begin(enforcement, &zero, 0, &ticket), ENFORCEMENT_ALLOWED);
}

static void long_queries_are_refused_at_no_cost_to_the_user(void **state) {
  (void)state;
  struct enforcement_request request = by(NULL, "u");
  start();
  request.query_bytes = 4096 * 4 + 3;
  assert_int_equal(brig__enforcement_begin(enforcement, &request, 0, &ticket),
                   ENFORCEMENT_ALLOWED);
  request.query_bytes = 4097 * 4;
  for (int i = 0; i < 100; i++)
    assert_int_equal(brig__enforcement_begin(enforcement, &request, 0, &ticket),
                     ENFORCEMENT_TOKEN_LIMIT);
  request.query_bytes = UINT64_MAX;
  assert_int_equal(brig__enforcement_begin(enforcement, &request, 0, &ticket),
                   ENFORCEMENT_TOKEN_LIMIT);
  call("u", RPC_OK, 0);
  expect_metric("agent_core_enforcement_drops_total{reason=\"token_limit\"} 101\n");
}

/* Twenty calls, half of them failed; the last opens it. */
static void open_circuit(const char *user, uint64_t now_us) {
  for (int i = 0; i < 20; i++) call(user, i % 2 == 0 ? RPC_OK : RPC_INTERNAL, now_us);
  assert_int_equal(begin(user, now_us), ENFORCEMENT_CIRCUIT_OPEN);
}

static void a_circuit_opens_at_the_threshold_and_not_before(void **state) {
  (void)state;
  set("enforcement.rate_limit_per_key_rps", "1000");
  start();
  for (int i = 0; i < 19; i++) call("few", RPC_INTERNAL, SECOND);
  for (int i = 0; i < 100; i++) call("below", i % 5 < 3 ? RPC_OK : RPC_INTERNAL, SECOND);
  call("few", RPC_CANCELLED, SECOND); /* is none */
  call("few", RPC_OK, SECOND);
  assert_int_equal(begin("few", SECOND), ENFORCEMENT_CIRCUIT_OPEN);
  call("below", RPC_OK, SECOND);
  open_circuit("u", SECOND);
  call("other", RPC_OK, SECOND);
  expect_metric("agent_core_enforcement_drops_total{reason=\"circuit_open\"} 2\n");
  expect_metric("agent_core_enforcement_drops_total{reason=\"downstream_error\"} 69\n");
}

static void calls_leave_the_window(void **state) {
  (void)state;
  set("enforcement.rate_limit_per_key_rps", "1000");
  start();
  for (int i = 0; i < 19; i++) call("u", RPC_DEADLINE_EXCEEDED, SECOND);
  call("u", RPC_INTERNAL, 31 * SECOND); /* the others are 30 s old */
  call("u", RPC_INTERNAL, 31 * SECOND);
  for (int i = 0; i < 17; i++) call("u", RPC_INTERNAL, 58 * SECOND);
  call("u", RPC_INTERNAL, 59 * SECOND);
  assert_int_equal(begin("u", 59 * SECOND), ENFORCEMENT_CIRCUIT_OPEN);
  expect_metric("agent_core_enforcement_drops_total{reason=\"timeout\"} 19\n");
}

static void one_call_tries_an_open_circuit(void **state) {
  (void)state;
  set("enforcement.rate_limit_per_key_rps", "1000");
  start();
  open_circuit("u", SECOND);
  assert_int_equal(begin("u", 31 * SECOND - 1), ENFORCEMENT_CIRCUIT_OPEN);
  assert_int_equal(begin("u", 31 * SECOND), ENFORCEMENT_ALLOWED);
  struct enforcement_ticket probe = ticket;
  assert_int_equal(begin("u", 32 * SECOND), ENFORCEMENT_CIRCUIT_OPEN);
  ticket = probe;
  end(RPC_INTERNAL, 33 * SECOND); /* for as long again */
  assert_int_equal(begin("u", 63 * SECOND - 1), ENFORCEMENT_CIRCUIT_OPEN);
  call("u", RPC_OK, 63 * SECOND);
  for (int i = 0; i < 19; i++) call("u", RPC_INTERNAL, 64 * SECOND); /* it begins anew */
  call("u", RPC_INTERNAL, 64 * SECOND);
  assert_int_equal(begin("u", 64 * SECOND), ENFORCEMENT_CIRCUIT_OPEN);
}

static void a_try_that_is_cancelled_or_lost_is_followed_by_another(void **state) {
  (void)state;
  set("enforcement.rate_limit_per_key_rps", "1000");
  start();
  open_circuit("u", SECOND);
  call("u", RPC_CANCELLED, 31 * SECOND);
  assert_int_equal(begin("u", 31 * SECOND), ENFORCEMENT_ALLOWED); /* and never ends */
  assert_int_equal(begin("u", 61 * SECOND - 1), ENFORCEMENT_CIRCUIT_OPEN);
  call("u", RPC_OK, 61 * SECOND);
  call("u", RPC_OK, 61 * SECOND);
}

static void late_ends_of_an_open_circuit_change_nothing(void **state) {
  (void)state;
  set("enforcement.rate_limit_per_key_rps", "1000");
  start();
  assert_int_equal(begin("u", SECOND), ENFORCEMENT_ALLOWED);
  struct enforcement_ticket late = ticket;
  open_circuit("u", SECOND);
  brig__enforcement_end(enforcement, &late, RPC_OK, 2 * SECOND);
  assert_int_equal(begin("u", 3 * SECOND), ENFORCEMENT_CIRCUIT_OPEN);
  brig__enforcement_end(enforcement, &late, RPC_INTERNAL, 20 * SECOND);
  assert_int_equal(begin("u", 31 * SECOND), ENFORCEMENT_ALLOWED); /* to try it */
}

static void invented_users_push_out_only_those_not_seen_lately(void **state) {
  (void)state;
  char user[32];
  set("enforcement.max_keys", "16");
  start();
  for (int i = 0; i < 10; i++) call("old", RPC_OK, 0);
  assert_int_equal(begin("kept", 0), ENFORCEMENT_ALLOWED);
  for (int i = 0; i < 9; i++) call("kept", RPC_OK, 0);
  for (int i = 0; i < 100000; i++) {
    snprintf(user, sizeof user, "invented-%d", i);
    call(user, RPC_INTERNAL, 0);
    if (i % 8 == 0) assert_int_equal(begin("kept", 0), ENFORCEMENT_RATE_LIMIT);
  }
  call("old", RPC_OK, 0); /* it was forgotten */
}

static void a_late_end_is_not_held_against_whoever_has_the_place(void **state) {
  (void)state;
  char user[32];
  set("enforcement.max_keys", "16");
  set("enforcement.circuit_breaker_min_requests", "1");
  start();
  assert_int_equal(begin("old", SECOND), ENFORCEMENT_ALLOWED);
  struct enforcement_ticket old = ticket;
  for (int i = 0; i < 16; i++) {
    snprintf(user, sizeof user, "new-%d", i);
    call(user, RPC_OK, SECOND);
  }
  for (int i = 0; i < 10; i++) brig__enforcement_end(enforcement, &old, RPC_INTERNAL, SECOND);
  for (int i = 0; i < 16; i++) {
    snprintf(user, sizeof user, "new-%d", i);
    call(user, RPC_OK, SECOND);
  }
}

static void limits_change_and_what_was_done_stays(void **state) {
  (void)state;
  start();
  for (int i = 0; i < 10; i++) call("u", RPC_OK, SECOND);
  set("enforcement.rate_limit_per_key_rps", "2");
  set("enforcement.circuit_breaker_rolling_window_secs", "0.001");
  brig__enforcement_configure(enforcement, brig__config_settings(config));
  assert_int_equal(begin("u", SECOND), ENFORCEMENT_RATE_LIMIT);
  call("u", RPC_INTERNAL, 2 * SECOND);
  call("u", RPC_INTERNAL, 2 * SECOND);
  assert_int_equal(begin("u", 2 * SECOND), ENFORCEMENT_RATE_LIMIT);
}

static char directory[] = "/tmp/brig-enforcement-XXXXXX";

static void make_file(const char *name, off_t size) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  assert_int_equal(ftruncate(fileno(file), size), 0);
  fclose(file);
}

static int check(uint64_t bytes, uint64_t files, struct brig_error *err) {
  struct brig_settings settings = {.session_workspace_bytes = bytes,
                                   .session_workspace_files = files};
  return brig__enforcement_check_workspace(directory, &settings, err);
}

static void a_full_workspace_is_refused(void **state) {
  (void)state;
  struct brig_error err = {0};
  char path[128];
  strcpy(directory + strlen(directory) - 6, "XXXXXX");
  assert_non_null(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/below", directory);
  assert_int_equal(mkdir(path, 0700), 0);
  make_file("below/large", 2 << 20);
  snprintf(path, sizeof path, "%s/loop", directory);
  assert_int_equal(symlink(directory, path), 0);
  snprintf(path, sizeof path, "%s/pipe", directory);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(check(2 << 20, 20000, &err), 0); /* just full */
  make_file("one", 1);
  assert_int_equal(check(2 << 20, 20000, &err), BRIG_E_LIMIT);
  assert_string_equal(err.message,
                      "Session workspace quota exceeded: 2.0 MB in it, 2.0 MB allowed");
  assert_int_equal(check(1 << 30, 5, &err), 0);
  make_file("below/six", 0);
  assert_int_equal(check(1 << 30, 5, &err), BRIG_E_LIMIT);
  assert_string_equal(err.message,
                      "Session workspace quota exceeded: more files in it than the 5 allowed");
  brig__remove_tree(-1, directory);
  assert_int_equal(check(1, 1, &err), 0); /* not there yet */
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(clients_are_told_what_the_contract_says),
      TEST(a_second_has_so_many_calls_and_as_many_may_come_at_once),
      TEST(keys_are_a_tenant_and_a_user),
      TEST(long_queries_are_refused_at_no_cost_to_the_user),
      TEST(a_circuit_opens_at_the_threshold_and_not_before),
      TEST(calls_leave_the_window),
      TEST(one_call_tries_an_open_circuit),
      TEST(a_try_that_is_cancelled_or_lost_is_followed_by_another),
      TEST(late_ends_of_an_open_circuit_change_nothing),
      TEST(invented_users_push_out_only_those_not_seen_lately),
      TEST(a_late_end_is_not_held_against_whoever_has_the_place),
      TEST(limits_change_and_what_was_done_stays),
      cmocka_unit_test(a_full_workspace_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
