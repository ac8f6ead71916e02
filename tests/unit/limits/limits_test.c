#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "limits/limits.h"

static struct limit_policy policy(void) {
  struct limit_policy made = {.defaults = BRIG_LIMITS_INIT, .ceilings = BRIG_LIMITS_INIT};
  made.interpreter_fuel = BRIG_UNLIMITED;
  made.defaults.timeout_ms = 30000;
  made.defaults.memory_bytes = 256 << 20;
  made.defaults.fuel = 1000000000;
  made.defaults.quota_bytes = 1 << 20;
  made.ceilings = made.defaults;
  made.ceilings.timeout_ms = 3600000;
  made.ceilings.memory_bytes = UINT64_C(4) << 30;
  made.ceilings.fuel = BRIG_UNLIMITED;
  return made;
}

static void a_field_of_zero_takes_the_default(void **state) {
  struct limit_policy rules = policy();
  struct brig_limits request = BRIG_LIMITS_INIT, effective;
  (void)state;
  assert_int_equal(brig__limits_merge(&rules, &request, false, &effective, NULL), 0);
  assert_int_equal(effective.timeout_ms, 30000);
  assert_int_equal(effective.fuel, 1000000000);
  assert_int_equal(brig__limits_merge(&rules, &request, true, &effective, NULL), 0);
  assert_true(effective.fuel == BRIG_UNLIMITED);
}

static void a_field_of_the_request_wins_up_to_its_ceiling(void **state) {
  struct limit_policy rules = policy();
  struct brig_limits request = BRIG_LIMITS_INIT, effective;
  struct brig_error err;
  (void)state;
  request.timeout_ms = 3600000;
  request.fuel = 5;
  assert_int_equal(brig__limits_merge(&rules, &request, true, &effective, &err), 0);
  assert_int_equal(effective.timeout_ms, 3600000);
  assert_int_equal(effective.fuel, 5);
  request.timeout_ms = 3600001;
  assert_int_equal(brig__limits_merge(&rules, &request, true, &effective, &err), BRIG_E_LIMIT);
  assert_non_null(strstr(err.message, "ceiling.execution_timeout_secs"));
}

static void a_ceiling_of_fuel_forbids_unmetered_code(void **state) {
  struct limit_policy rules = policy();
  struct brig_limits request = BRIG_LIMITS_INIT, effective;
  (void)state;
  rules.ceilings.fuel = 1000000000;
  request.fuel = BRIG_UNLIMITED;
  assert_int_equal(brig__limits_merge(&rules, &request, false, &effective, NULL), BRIG_E_LIMIT);
}

static void an_older_smaller_struct_is_understood(void **state) {
  struct limit_policy rules = policy();
  struct brig_limits request = BRIG_LIMITS_INIT, effective;
  (void)state;
  request.size = offsetof(struct brig_limits, stdout_bytes);
  request.stdout_bytes = UINT64_MAX; /* beyond what it says it has */
  assert_int_equal(brig__limits_merge(&rules, &request, false, &effective, NULL), 0);
  request.size = 0;
  assert_int_equal(brig__limits_merge(&rules, &request, false, &effective, NULL), BRIG_E_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_field_of_zero_takes_the_default),
      cmocka_unit_test(a_field_of_the_request_wins_up_to_its_ceiling),
      cmocka_unit_test(a_ceiling_of_fuel_forbids_unmetered_code),
      cmocka_unit_test(an_older_smaller_struct_is_understood),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
