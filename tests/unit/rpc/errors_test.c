#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "rpc/errors.h"

static void what_a_client_can_do_something_about_comes_back_as_it_was(void **state) {
  static const int codes[] = {BRIG_E_INVALID, BRIG_E_NOT_FOUND,  BRIG_E_BUSY,     BRIG_E_LOST,
                              BRIG_E_LIMIT,   BRIG_E_PERMISSION, BRIG_E_INTEGRITY};
  (void)state;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    assert_int_equal(brig__rpc_error_of(brig__rpc_status_of(codes[i])), codes[i]);
}

static void every_error_has_a_status_and_every_status_an_error(void **state) {
  (void)state;
#define X(name, value, refused, text) \
  assert_int_not_equal(brig__rpc_status_of(BRIG_E_##name), RPC_OK);
  BRIG_ERROR_LIST(X)
#undef X
  assert_int_equal(brig__rpc_status_of(BRIG_E_SYSTEM), RPC_INTERNAL);
  assert_int_equal(brig__rpc_status_of(-12345), RPC_INTERNAL);
  for (int status = RPC_CANCELLED; status <= RPC_UNAUTHENTICATED; status++)
    assert_true(brig__rpc_error_of((enum rpc_status)status) < 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_a_client_can_do_something_about_comes_back_as_it_was),
      cmocka_unit_test(every_error_has_a_status_and_every_status_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
