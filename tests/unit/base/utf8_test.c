/* What is UTF-8, checked against another's decoder: jansson's. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/utf8.h"

static bool jansson_takes(const void *data, size_t size) {
  json_t *text = json_stringn(data, size);
  json_decref(text);
  return text != NULL;
}

static void every_sequence_of_up_to_three_bytes_and_many_of_four(void **state) {
  (void)state;
  for (uint32_t i = 0; i < 1u << 24; i++) {
    const uint8_t bytes[] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
    for (size_t size = (i & 0xffff) == 0 ? 1 : (i & 0xff) == 0 ? 2 : 3; size <= 3; size++)
      if ((brig__utf8_valid(bytes, size) == size) != jansson_takes(bytes, size))
        fail_msg("%zu of %06x", size, i);
  }
  for (uint32_t i = 0xf0000000u; i >= 0xf0000000u; i += 61) {
    const uint8_t bytes[] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
    if ((brig__utf8_valid(bytes, 4) == 4) != jansson_takes(bytes, 4)) fail_msg("%08x", i);
  }
}

static void repairs(const char *from, size_t size, const char *to) {
  size_t repaired_size;
  char *repaired = brig__utf8_repair(from, size, &repaired_size);
  assert_int_equal(repaired_size, strlen(to));
  assert_string_equal(repaired, to);
  free(repaired);
}

static void what_is_not_utf8_is_replaced(void **state) {
  (void)state;
  repairs("", 0, "");
  repairs("a\xc3\xa9z", 4, "a\xc3\xa9z");
  repairs("\xff" "a\xfe", 3, "\xef\xbf\xbd" "a\xef\xbf\xbd");
  repairs("a\xe2\x82", 3, "a\xef\xbf\xbd\xef\xbf\xbd");
  repairs("\x80\xc3\xa9", 3, "\xef\xbf\xbd\xc3\xa9");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_sequence_of_up_to_three_bytes_and_many_of_four),
      cmocka_unit_test(what_is_not_utf8_is_replaced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
