/* What an ExecuteTaskRequest asks for: each rule of the contract, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "server/task.h"
#include "support/messages.h"

static struct brig_config *config;

static int setup(void **state) {
  (void)state;
  return brig_config_defaults(&config, NULL);
}

static int teardown(void **state) {
  (void)state;
  brig_config_free(config);
  return 0;
}

static enum rpc_status read_task(struct arena *arena, const struct request_text *text,
                                 struct task *ret_task, const char **ret_message) {
  return brig__task_read(make_request(arena, text), brig__config_settings(config), arena, ret_task,
                         ret_message);
}

static void refused(struct request_text text, enum rpc_status status, const char *message) {
  struct arena arena = {0};
  struct task task;
  const char *got = NULL;
  enum rpc_status answered = read_task(&arena, &text, &task, &got);
  if (answered != status || strcmp(got, message) != 0)
    fail_msg("%s \"%s\", not %s \"%s\"", brig__rpc_status_name(answered), got,
             brig__rpc_status_name(status), message);
  brig__arena_free(&arena);
}

static struct task accepted(struct arena *arena, struct request_text text) {
  struct task task;
  const char *message = NULL;
  if (read_task(arena, &text, &task, &message) != RPC_OK) fail_msg("%s", message);
  return task;
}

#define OBJECT  "tool_parameters must be an object"
#define NO_NAME "tool_parameters missing required 'tool' string field"
#define NO_MODEL                                                                             \
  "this server runs tools and has no language model: say which in context.tool_parameters, " \
  "such as {\"tool\": \"python_executor\", \"code\": \"print(1)\"}"
#define LIST      "tool_calls must be a list of 1 to 100 objects"
#define PARAMS(x) "{\"tool_parameters\": " x "}"
#define CALLS(x)  "{\"tool_calls\": " x "}"
#define PYTHON    PARAMS("{\"tool\": \"python_executor\"}")

static void what_is_wrong_is_told_in_the_words_of_the_contract(void **state) {
  static const struct {
    const char *context;
    enum rpc_status status;
    const char *message;
  } rows[] = {
      {NULL, RPC_FAILED_PRECONDITION, NO_MODEL},
      {"{}", RPC_FAILED_PRECONDITION, NO_MODEL},
      {PARAMS("null"), RPC_FAILED_PRECONDITION, NO_MODEL},
      {PARAMS("1"), RPC_INVALID_ARGUMENT, OBJECT},
      {PARAMS("\"x\""), RPC_INVALID_ARGUMENT, OBJECT},
      {PARAMS("[]"), RPC_INVALID_ARGUMENT, OBJECT},
      {PARAMS("true"), RPC_INVALID_ARGUMENT, OBJECT},
      {PARAMS("{}"), RPC_INVALID_ARGUMENT, NO_NAME},
      {PARAMS("{\"tool\": \"\"}"), RPC_INVALID_ARGUMENT, NO_NAME},
      {PARAMS("{\"tool\": 7}"), RPC_INVALID_ARGUMENT, NO_NAME},
      {PARAMS("{\"tool\": null, \"parameters\": {\"tool\": \"python_executor\"}}"),
       RPC_INVALID_ARGUMENT, NO_NAME},
      {PARAMS("{\"tool\": \"web_search\"}"), RPC_NOT_FOUND,
       "there is no tool 'web_search': this server has code_executor and python_executor"},
      {CALLS("{}"), RPC_INVALID_ARGUMENT, LIST},
      {CALLS("[]"), RPC_INVALID_ARGUMENT, LIST},
      {CALLS("[1]"), RPC_INVALID_ARGUMENT, "tool_calls: item 0 must be an object"},
      {CALLS("[{\"tool\": \"code_executor\"}, {}]"), RPC_INVALID_ARGUMENT, NO_NAME},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    refused((struct request_text){.context = rows[i].context}, rows[i].status, rows[i].message);
}

static void a_tool_that_is_not_allowed_is_refused(void **state) {
  (void)state;
  refused((struct request_text){.context = PYTHON, .tools = {"code_executor", "other"}},
          RPC_PERMISSION_DENIED, "Tool 'python_executor' is not allowed for this request");
  refused((struct request_text){.context = CALLS("[{\"tool\": \"code_executor\"}, {\"tool\": "
                                                 "\"python_executor\"}]"),
                                .tools = {"code_executor"}},
          RPC_PERMISSION_DENIED, "Tool 'python_executor' is not allowed for this request");
  struct arena arena = {0};
  accepted(&arena, (struct request_text){.context = PYTHON, .tools = {"x", "python_executor"}});
  brig__arena_free(&arena);
}

static void the_name_of_the_tool_may_stand_in_four_places(void **state) {
  static const struct {
    const char *context, *available, *name;
  } rows[] = {
      {PARAMS("{\"tool\": \"python_executor\"}"), NULL, "python_executor"},
      {PARAMS("{\"tool_name\": \"python_executor\"}"), NULL, "python_executor"},
      {PARAMS("{\"name\": \"python_executor\"}"), NULL, "python_executor"},
      {PARAMS("{}"), "code_executor", "code_executor"},
      {PARAMS("{\"tool\": \"code_executor\", \"name\": \"x\"}"), NULL, "code_executor"},
      {PARAMS("{\"tool\": \"\", \"tool_name\": \"code_executor\"}"), NULL, "code_executor"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct arena arena = {0};
    struct task task = accepted(
        &arena, (struct request_text){.context = rows[i].context, .tools = {rows[i].available}});
    assert_int_equal(task.call_count, 1);
    assert_false(task.listed);
    assert_string_equal(task.calls[0].tool->name, rows[i].name);
    brig__arena_free(&arena);
  }
}

static void is_text(const proto_struct *object, const char *key, const char *text) {
  const ProtobufCBinaryData *value = brig__struct_string(object, key);
  if (text == NULL)
    assert_null(value);
  else
    assert_true(value != NULL && brig__text_is(value, text));
}

static void parameters_are_the_other_fields_and_those_nested(void **state) {
  struct arena arena = {0};
  (void)state;
  struct task task = accepted(
      &arena,
      (struct request_text){
          .context = PARAMS("{\"tool\": \"python_executor\", \"code\": \"a\", \"name\": "
                            "\"n\", \"parameters\": {\"code\": \"b\", \"stdin\": \"c\"}}")});
  const proto_struct *parameters = task.calls[0].parameters;
  is_text(parameters, "code", "b");
  is_text(parameters, "stdin", "c");
  is_text(parameters, "name", "n");
  is_text(parameters, "tool", NULL);
  assert_null(brig__struct_get(parameters, "parameters"));
  task = accepted(
      &arena, (struct request_text){
                  .context = PARAMS("{\"tool\": \"python_executor\", \"parameters\": \"text\"}")});
  is_text(task.calls[0].parameters, "parameters", "text");
  brig__arena_free(&arena);
}

static void a_list_of_calls_comes_in_its_order(void **state) {
  struct arena arena = {0};
  (void)state;
  struct task task =
      accepted(&arena, (struct request_text){.context = CALLS("[{\"tool\": \"python_executor\"}, "
                                                              "{\"tool\": \"code_executor\"}]")});
  assert_true(task.listed);
  assert_int_equal(task.call_count, 2);
  assert_string_equal(task.calls[0].tool->name, "python_executor");
  assert_string_equal(task.calls[1].tool->name, "code_executor");
  brig__arena_free(&arena);
}

static void ids_are_the_contexts_or_else_the_metadatas(void **state) {
  struct arena arena = {0};
  (void)state;
  struct task task = accepted(&arena, (struct request_text){.context = PYTHON});
  assert_true(task.session == NULL && task.user == NULL);
  task = accepted(
      &arena,
      (struct request_text){
          .context = PYTHON, .metadata_session = "m", .metadata_user = "../u", .task_id = "t"});
  assert_string_equal(task.session, "m");
  assert_string_equal(task.user, "../u"); /* is never a part of a path */
  assert_true(brig__text_is(&task.id, "t"));
  task = accepted(&arena, (struct request_text){.context = PYTHON,
                                                .session = "s",
                                                .user = "u",
                                                .metadata_session = "m",
                                                .metadata_user = "x"});
  assert_string_equal(task.session, "s");
  assert_string_equal(task.user, "u");
  brig__arena_free(&arena);
}

static void hostile_ids_are_refused(void **state) {
  static const char *const ids[] = {"..",           ".x",   "a/b",  "a b", "a..b",
                                    "\xe2\x80\xa4", "%2e%", "/etc", "a\n"};
  const char *words =
      "a session's id has 1 to 128 letters, digits, '.', '_' and '-', without \"..\", and does "
      "not begin with '.'";
  char long_id[1200];
  (void)state;
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    refused((struct request_text){.context = PYTHON, .session = ids[i]}, RPC_INVALID_ARGUMENT,
            words);
  memset(long_id, 'a', sizeof long_id);
  long_id[129] = '\0';
  refused((struct request_text){.context = PYTHON, .metadata_session = long_id},
          RPC_INVALID_ARGUMENT, words);
  long_id[129] = 'a';
  long_id[257] = '\0';
  refused((struct request_text){.context = PYTHON, .user = long_id}, RPC_INVALID_ARGUMENT,
          "a user id has at most 256 bytes, and no 0 byte among them");
  long_id[257] = 'a';
  long_id[1025] = '\0';
  refused((struct request_text){.context = PYTHON, .task_id = long_id}, RPC_INVALID_ARGUMENT,
          "a task id has at most 1024 bytes");
}

static void ids_with_zero_bytes_are_refused(void **state) {
  struct arena arena = {0};
  struct task task;
  const char *message;
  (void)state;
  Shannon__Agent__ExecuteTaskRequest *request =
      make_request(&arena, &(struct request_text){.context = PYTHON});
  request->session_context->session_id = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
  assert_int_equal(brig__task_read(request, brig__config_settings(config), &arena, &task, &message),
                   RPC_INVALID_ARGUMENT);
  request->session_context->session_id.len = 0;
  request->session_context->user_id = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
  assert_int_equal(brig__task_read(request, brig__config_settings(config), &arena, &task, &message),
                   RPC_INVALID_ARGUMENT);
  brig__arena_free(&arena);
}

static void limits_are_the_requests_below_the_ceilings(void **state) {
  static const struct {
    int32_t seconds;
    int64_t mb;
    uint64_t timeout_ms, memory_bytes;
  } rows[] = {
      {0, 0, 0, 0},
      {-5, INT64_MIN, 0, 0},
      {7, 64, 7000, 64 << 20},
      {INT32_MAX, INT64_MAX, 3600000, UINT64_C(4) << 30},
      {3601, 4097, 3600000, UINT64_C(4) << 30},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct arena arena = {0};
    struct task task = accepted(&arena, (struct request_text){.context = PYTHON,
                                                              .timeout_seconds = rows[i].seconds,
                                                              .memory_limit_mb = rows[i].mb});
    assert_int_equal(task.timeout_ms, rows[i].timeout_ms);
    assert_int_equal(task.memory_bytes, rows[i].memory_bytes);
    brig__arena_free(&arena);
  }
}

/* As protobuf may bring them, and JSON cannot. */
static void keys_that_repeat_and_values_that_are_missing_are_read(void **state) {
  struct arena arena = {0};
  (void)state;
  proto_struct *object = brig__struct_new(&arena, 4);
  brig__struct_add_text(&arena, object, "a", "first");
  brig__struct_add_text(&arena, object, "a", "last");
  brig__struct_add_text(&arena, object, "b", "x");
  brig__struct_add_text(&arena, object, "b", NULL);
  is_text(object, "a", "last");
  assert_null(brig__struct_get(object, "b"));
  object->fields[1]->value = NULL;
  assert_null(brig__struct_get(object, "a"));
  assert_null(brig__struct_get(NULL, "a"));
  brig__arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_wrong_is_told_in_the_words_of_the_contract),
      cmocka_unit_test(a_tool_that_is_not_allowed_is_refused),
      cmocka_unit_test(the_name_of_the_tool_may_stand_in_four_places),
      cmocka_unit_test(parameters_are_the_other_fields_and_those_nested),
      cmocka_unit_test(a_list_of_calls_comes_in_its_order),
      cmocka_unit_test(ids_are_the_contexts_or_else_the_metadatas),
      cmocka_unit_test(hostile_ids_are_refused),
      cmocka_unit_test(ids_with_zero_bytes_are_refused),
      cmocka_unit_test(limits_are_the_requests_below_the_ceilings),
      cmocka_unit_test(keys_that_repeat_and_values_that_are_missing_are_read),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
