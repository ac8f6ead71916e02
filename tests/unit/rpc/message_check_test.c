#include <agent/agent.pb-c.h>
#include <brig/sessions.pb-c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fd.h"
#include "rpc/message_check.h"

#define REQUEST     (&shannon__agent__execute_task_request__descriptor)
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static enum rpc_status check(const uint8_t *data, size_t size) {
  const char *reason = NULL;
  enum rpc_status status = brig__rpc_check_message(REQUEST, data, size, 1000, &reason);
  assert_true((reason == NULL) == (status == RPC_OK));
  return status;
}

static void assert_takes(const uint8_t *data, size_t size) {
  assert_int_equal(check(data, size), RPC_OK);
}
static void assert_refuses(const uint8_t *data, size_t size) {
  assert_int_equal(check(data, size), RPC_INTERNAL);
}

static void what_protobuf_writes_passes(void **state) {
  Shannon__Agent__ExecuteTaskRequest request = SHANNON__AGENT__EXECUTE_TASK_REQUEST__INIT;
  Shannon__Agent__AgentConfig config = SHANNON__AGENT__AGENT_CONFIG__INIT;
  Shannon__Agent__SessionContext session = SHANNON__AGENT__SESSION_CONTEXT__INIT;
  uint8_t data[256];
  (void)state;
  request.query = (ProtobufCBinaryData){5, (uint8_t *)"a\0\xC3\xA9z"};
  request.config = &config;
  request.session_context = &session;
  config.timeout_seconds = -1;
  config.memory_limit_mb = INT64_MIN;
  session.total_cost_usd = 1.5;
  size_t size = shannon__agent__execute_task_request__pack(&request, data);
  assert_takes(data, size);
  for (size_t cut = 1; cut < size; cut++) { /* and what of it is cut off does not crash */
    CLEANUP_FREE uint8_t *part = malloc(cut);
    memcpy(part, data, cut);
    check(part, cut);
  }
  assert_takes(NULL, 0);
}

static void fields_that_nobody_knows_pass(void **state) {
  (void)state;
  assert_takes(BYTES("\x78\x01"));                                     /* a number */
  assert_takes(BYTES("\x7a\x02\xff\xff"));                             /* bytes, of any kind */
  assert_takes(BYTES("\x79zzzzzzzz\x7dzzzz"));                         /* 64 and 32 bits */
  assert_takes(BYTES("\xf8\xff\xff\xff\x0f\x01"));                     /* the highest number */
  assert_takes(BYTES("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")); /* an enum's */
}

static void what_is_cut_off_is_refused(void **state) {
  (void)state;
  assert_refuses(BYTES("\x12"));
  assert_refuses(BYTES("\x12\x03zz"));
  assert_refuses(BYTES("\x12\x80"));
  assert_refuses(BYTES("\x20\x80"));
  assert_refuses(BYTES("\x79zzzzzzz"));
  assert_refuses(BYTES("\x7dzzz"));
  assert_refuses(BYTES("\x0a\x03\x0a\x03z")); /* in a message within */
}

static void numbers_that_are_too_long_are_refused(void **state) {
  (void)state;
  assert_refuses(BYTES("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  assert_refuses(BYTES("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
  assert_refuses(BYTES("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  assert_refuses(BYTES("\xa0\x80\x80\x80\x80\x00\x01"));
}

static void tags_that_are_none_are_refused(void **state) {
  (void)state;
  assert_refuses(BYTES("\x00\x00")); /* field 0 */
  assert_refuses(BYTES("\x02\x00"));
  assert_refuses(BYTES("\xf8\xff\xff\xff\x7f\x01")); /* beyond 2^29 */
  assert_refuses(BYTES("\x0b\x0c"));                 /* a group */
  assert_refuses(BYTES("\x0c"));
  assert_refuses(BYTES("\x0e"));
  assert_refuses(BYTES("\x0f"));
}

static void strings_are_utf8(void **state) {
  static const struct {
    const char *text;
    bool valid;
  } cases[] = {{"", true},
               {"a~\x7f", true},
               {"\xC2\x80\xDF\xBF", true},
               {"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF", true},
               {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", true},
               {"\x80", false},
               {"\xC1\xBF", false},
               {"\xC3", false},
               {"\xC3(", false},
               {"\xE0\x9F\xBF", false},
               {"\xED\xA0\x80", false},
               {"\xE2\x82", false},
               {"\xF0\x8F\xBF\xBF", false},
               {"\xF4\x90\x80\x80", false},
               {"\xF5\x80\x80\x80", false},
               {"\xF0\x90\x80", false},
               {"\xFF", false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t size = strlen(cases[i].text);
    uint8_t data[16] = {0x12, (uint8_t)size};
    memcpy(data + 2, cases[i].text, size);
    assert_int_equal(brig__rpc_is_utf8(data + 2, size), cases[i].valid);
    assert_int_equal(check(data, size + 2), cases[i].valid ? RPC_OK : RPC_INTERNAL);
  }
}

static void what_is_bytes_in_its_proto_may_be_any(void **state) {
  const ProtobufCMessageDescriptor *run = &brig__v1__run_request__descriptor;
  const char *reason;
  (void)state;
  assert_int_equal(brig__rpc_check_message(run, BYTES("\x22\x02\xff\xfe"), 9, &reason), RPC_OK);
  assert_int_equal(brig__rpc_check_message(run, BYTES("\x12\x02\xff\xfe"), 9, &reason), /* code */
                   RPC_INTERNAL);
}

static void a_string_may_hold_0_and_a_key_may_not(void **state) {
  (void)state;
  assert_takes(BYTES("\x12\x03z\0z"));
  assert_takes(BYTES("\x1a\x05\x0a\x03\x0a\x01k"));
  assert_refuses(BYTES("\x1a\x06\x0a\x04\x0a\x02k\0"));
  assert_refuses(BYTES("\x1a\x05\x0a\x03\x0a\x01\xff"));
}

/* Values in lists in values..., in a request's context: `depth` messages in all. */
static uint8_t *nested(unsigned depth, size_t *ret_size) {
  uint8_t *start = malloc(4096), *end = start + 4096, *at = end;
  /* From the inside: Value 6: ListValue, ListValue 1: Value; FieldsEntry 2: Value;
   * Struct 1: FieldsEntry; ExecuteTaskRequest 3: Struct. */
  for (unsigned level = depth; level > 1; level--) {
    uint8_t number = level == 2 ? 3 : level == 3 ? 1 : level == 4 ? 2 : level % 2 == 1 ? 6 : 1;
    size_t size = (size_t)(end - at);
    if (size > 127) *--at = (uint8_t)(size >> 7);
    *--at = (uint8_t)(size > 127 ? (size & 127) | 128 : size);
    *--at = (uint8_t)(number << 3 | 2);
  }
  *ret_size = (size_t)(end - at);
  uint8_t *data = malloc(*ret_size + 1);
  memcpy(data, at, *ret_size);
  free(start);
  return data;
}

static void a_hundred_levels_pass_and_more_do_not(void **state) {
  size_t size;
  (void)state;
  CLEANUP_FREE uint8_t *most = nested(100, &size);
  assert_takes(most, size);
  CLEANUP_FREE uint8_t *more = nested(101, &size);
  assert_refuses(more, size);
}

static void every_field_counts_wherever_it_is(void **state) {
  static uint8_t data[1004] = {0x0a, 0xe8, 0x07}; /* TaskMetadata, of 1000 bytes */
  const char *reason = NULL;
  (void)state;
  for (size_t i = 3; i < 1003; i += 2) data[i] = 0x0a; /* 500 empty strings */
  assert_int_equal(brig__rpc_check_message(REQUEST, data, 1003, 501, &reason), RPC_OK);
  assert_int_equal(brig__rpc_check_message(REQUEST, data, 1003, 500, &reason),
                   RPC_RESOURCE_EXHAUSTED);
  assert_non_null(reason);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_protobuf_writes_passes),
      cmocka_unit_test(fields_that_nobody_knows_pass),
      cmocka_unit_test(what_is_cut_off_is_refused),
      cmocka_unit_test(numbers_that_are_too_long_are_refused),
      cmocka_unit_test(tags_that_are_none_are_refused),
      cmocka_unit_test(strings_are_utf8),
      cmocka_unit_test(what_is_bytes_in_its_proto_may_be_any),
      cmocka_unit_test(a_string_may_hold_0_and_a_key_may_not),
      cmocka_unit_test(a_hundred_levels_pass_and_more_do_not),
      cmocka_unit_test(every_field_counts_wherever_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
