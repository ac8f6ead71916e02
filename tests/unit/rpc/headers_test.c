#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fd.h"
#include "rpc/headers.h"

static void timeouts_are_of_eight_digits_and_a_unit(void **state) {
  static const struct {
    const char *text;
    uint64_t us;
  } good[] = {{"0n", 0},          {"1n", 1},
              {"1000n", 1},       {"1001n", 2},
              {"7u", 7},          {"250m", 250000},
              {"2S", 2000000},    {"3M", 180000000},
              {"1H", 3600000000}, {"99999999H", 359999996400000000}};
  static const char *const bad[] = {"",    "1",   "S",   "123456789S", "1s",   "-1S",
                                    "+1S", " 1S", "1S ", "0x1S",       "1.5S", "1SS"};
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    uint64_t us = 42;
    assert_int_equal(brig__rpc_timeout(good[i].text, strlen(good[i].text), &us), 0);
    assert_true(us == good[i].us);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint64_t us = 42;
    assert_true(brig__rpc_timeout(bad[i], strlen(bad[i]), &us) < 0);
    assert_true(us == 42);
  }
}

static void content_types_are_grpcs_or_not(void **state) {
  static const char *const good[] = {"application/grpc", "application/grpc+proto",
                                     "APPLICATION/GRPC;charset=x", "application/grpc+proto ; a"};
  static const char *const bad[] = {"",
                                    "application/grp",
                                    "application/grpcx",
                                    "text/plain",
                                    "application/grpc+json",
                                    "application/grpc-web",
                                    "application/grpc+protox"};
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_true(brig__rpc_is_grpc(good[i], strlen(good[i])));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(brig__rpc_is_grpc(bad[i], strlen(bad[i])));
}

static void a_path_is_a_service_and_a_name(void **state) {
  static const char *const bad[] = {"",       "/",      "/a.B",   "/a.B/",    "a.B/C",  "/a.B/C/",
                                    "/a.B/D", "//a.BC", "/a.BxC", "/a.B/C?x", "/a.B//C"};
  (void)state;
  assert_true(brig__rpc_path_is("/a.B/C", 6, "a.B", "C"));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(brig__rpc_path_is(bad[i], strlen(bad[i]), "a.B", "C"));
}

static void messages_are_percent_encoded(void **state) {
  CLEANUP_FREE char *encoded = brig__rpc_percent_encode("100% of\ta ~é\x7f\n");
  (void)state;
  assert_string_equal(encoded, "100%25 of%09a ~%C3%A9%7F%0A");
  CLEANUP_FREE char *none = brig__rpc_percent_encode("");
  assert_string_equal(none, "");
}

static void decoded_is(const char *message, size_t room, const char *text) {
  char decoded[64];
  memset(decoded, 'x', sizeof decoded);
  brig__rpc_percent_decode(message, strlen(message), decoded, room);
  assert_string_equal(decoded, text);
}

static void messages_are_decoded_whatever_they_are(void **state) {
  (void)state;
  decoded_is("100%25 of%09a ~%C3%a9", 64, "100% of\ta ~é");
  decoded_is("", 64, "");
  decoded_is("%", 64, "%");
  decoded_is("%4", 64, "%4");
  decoded_is("%4x%zz", 64, "%4x%zz");
  decoded_is("a%00b", 64, "a?b");
  decoded_is("abcdef", 4, "abc");
  decoded_is("%61%62%63%64", 3, "ab");
  decoded_is("abc", 1, "");
}

static void a_long_message_is_cut_at_a_character(void **state) {
  static char text[3001];
  (void)state;
  text[0] = 'x'; /* so that the bound is within one */
  for (size_t i = 1; i + 1 < sizeof text; i += 2) memcpy(text + i, "é", 2);
  CLEANUP_FREE char *encoded = brig__rpc_percent_encode(text);
  size_t length = strlen(encoded);
  assert_in_range(length, 1, 6000);
  assert_string_equal(encoded + length - 6, "%C3%A9");
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(timeouts_are_of_eight_digits_and_a_unit),
      cmocka_unit_test(content_types_are_grpcs_or_not),
      cmocka_unit_test(a_path_is_a_service_and_a_name),
      cmocka_unit_test(messages_are_percent_encoded),
      cmocka_unit_test(messages_are_decoded_whatever_they_are),
      cmocka_unit_test(a_long_message_is_cut_at_a_character),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
