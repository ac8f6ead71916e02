/* What a client is answered: by the contract, as text, and not too much of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/utf8.h"
#include "server/answer.h"
#include "support/messages.h"

/* A task of so many calls, and results as if they had run. */
struct scene {
  struct arena arena;
  struct brig_config *config;
  struct task task;
  struct tool_run runs[TASK_CALLS_MAX];
  struct brig_result results[TASK_CALLS_MAX];
};

static const char one_call[] =
    "{\"tool_parameters\": {\"tool\": \"code_executor\", \"stdin\": \"in\"}}";

static void begin(struct scene *scene, const char *context) {
  const char *message = NULL;
  *scene = (struct scene){.config = NULL};
  assert_int_equal(brig_config_defaults(&scene->config, NULL), 0);
  Shannon__Agent__ExecuteTaskRequest *request =
      make_request(&scene->arena, &(struct request_text){.context = context, .task_id = "id"});
  request->mode = SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_SIMPLE;
  assert_int_equal(brig__task_read(request, brig__config_settings(scene->config), &scene->arena,
                                   &scene->task, &message),
                   RPC_OK);
  for (size_t i = 0; i < scene->task.call_count; i++) {
    struct brig_result *result = &scene->results[i];
    result->outcome = BRIG_OUTCOME_EXITED;
    result->stdout_data = result->stderr_data = (uint8_t *)"";
    scene->runs[i] = (struct tool_run){.task = &scene->task,
                                       .call = &scene->task.calls[i],
                                       .arena = &scene->arena,
                                       .success = true,
                                       .result = result,
                                       .time_us = 5000};
  }
}

static void end(struct scene *scene) {
  brig__arena_free(&scene->arena);
  brig_config_free(scene->config);
}

static void set_output(struct brig_result *result, const void *out, size_t out_size,
                       const void *error, size_t error_size) {
  result->stdout_data = (uint8_t *)(uintptr_t)out;
  result->stdout_size = out_size;
  result->stderr_data = (uint8_t *)(uintptr_t)error;
  result->stderr_size = error_size;
}

static Shannon__Agent__ExecuteTaskResponse *respond(struct scene *scene) {
  Shannon__Agent__ExecuteTaskResponse *response =
      brig__answer_response(&scene->arena, &scene->task, scene->runs, 7000);
  assert_non_null(response);
  return response;
}

static void fail_run(struct tool_run *run, const char *error) {
  run->success = false;
  run->error = brig__text(error);
}

static void is(ProtobufCBinaryData text, const char *string) {
  if (!brig__text_is(&text, string)) fail_msg("\"%.*s\"", (int)text.len, (char *)text.data);
}

static double fact(const proto_struct *metadata, const char *key) {
  const proto_value *value = brig__struct_get(metadata, key);
  assert_true(value != NULL && value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE);
  return value->number_value;
}

static void a_success_is_answered_by_the_contract(void **state) {
  struct scene scene;
  (void)state;
  begin(&scene, one_call);
  set_output(&scene.results[0], "out", 3, "err", 3);
  scene.results[0].stdout_dropped = 9;
  scene.results[0].metered = scene.results[0].accounted = 1;
  scene.results[0].fuel_used = 123;
  scene.results[0].warm = 1;
  Shannon__Agent__ExecuteTaskResponse *response = respond(&scene);
  is(response->task_id, "id");
  is(response->result, "out");
  is(response->error_message, "");
  assert_int_equal(response->status, SHANNON__COMMON__STATUS_CODE__STATUS_CODE_OK);
  assert_int_equal(response->final_state, SHANNON__AGENT__AGENT_STATE__AGENT_STATE_COMPLETED);
  assert_int_equal(response->n_tool_calls, 1);
  is(response->tool_calls[0]->name, "code_executor");
  is(response->tool_calls[0]->tool_id, "code_executor");
  is(*brig__struct_string(response->tool_calls[0]->parameters, "stdin"), "in");
  assert_int_equal(response->n_tool_results, 1);
  is(response->tool_results[0]->tool_id, "code_executor");
  is(response->tool_results[0]->output->string_value, "out");
  assert_int_equal(response->tool_results[0]->status, SHANNON__COMMON__STATUS_CODE__STATUS_CODE_OK);
  assert_int_equal(response->tool_results[0]->execution_time_ms, 5);
  assert_int_equal(response->metrics->latency_ms, 7);
  assert_int_equal(response->metrics->mode, SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_SIMPLE);
  is(*brig__struct_string(response->metadata, "ended"), "exited");
  is(*brig__struct_string(response->metadata, "stdout"), "out");
  is(*brig__struct_string(response->metadata, "stderr"), "err");
  assert_true(fact(response->metadata, "exit_code") == 0);
  assert_true(fact(response->metadata, "stdout_dropped") == 9);
  assert_true(fact(response->metadata, "fuel_used") == 123);
  assert_true(brig__struct_get(response->metadata, "warm")->bool_value);
  end(&scene);
}

/* Clients take any result for a success. */
static void a_failure_has_no_result_and_its_message_in_both_places(void **state) {
  struct scene scene;
  (void)state;
  begin(&scene, one_call);
  set_output(&scene.results[0], "out", 3, "", 0);
  scene.results[0].outcome = BRIG_OUTCOME_TRAPPED;
  strcpy(scene.results[0].trap, "unreachable");
  fail_run(&scene.runs[0], "why");
  Shannon__Agent__ExecuteTaskResponse *response = respond(&scene);
  is(response->result, "");
  is(response->error_message, "why");
  assert_int_equal(response->status, SHANNON__COMMON__STATUS_CODE__STATUS_CODE_ERROR);
  assert_int_equal(response->final_state, SHANNON__AGENT__AGENT_STATE__AGENT_STATE_FAILED);
  is(response->tool_results[0]->error_message, "why");
  is(response->tool_results[0]->output->string_value, "");
  assert_int_equal(response->tool_results[0]->status,
                   SHANNON__COMMON__STATUS_CODE__STATUS_CODE_ERROR);
  is(*brig__struct_string(response->metadata, "stdout"), "out");
  is(*brig__struct_string(response->metadata, "trap"), "unreachable");
  assert_null(brig__struct_get(response->metadata, "exit_code"));
  end(&scene);
}

static void what_is_no_text_is_mended(void **state) {
  struct scene scene;
  (void)state;
  begin(&scene, one_call);
  set_output(&scene.results[0], "a\xff\0z", 4, "", 0);
  Shannon__Agent__ExecuteTaskResponse *response = respond(&scene);
  assert_int_equal(response->result.len, 6);
  assert_memory_equal(response->result.data, "a\xef\xbf\xbd\0z", 6);
  fail_run(&scene.runs[0], "b\xc3");
  is(respond(&scene)->error_message, "b\xef\xbf\xbd");
  end(&scene);
}

static size_t packed(const Shannon__Agent__ExecuteTaskResponse *response) {
  return protobuf_c_message_get_packed_size(&response->base);
}

/* Bytes that are no text become three times as many. */
static void an_answer_is_one_that_clients_take(void **state) {
  const size_t size = (size_t)3 << 20;
  char *wrong = malloc(size), *wide = malloc(size);
  struct scene scene;
  (void)state;
  memset(wrong, 0xff, size);
  for (size_t i = 0; i < size; i++) wide[i] = "\xf0\x9f\x98\x80"[i % 4];
  for (int success = 0; success < 2; success++) {
    begin(&scene, one_call);
    set_output(&scene.results[0], wide, size, wrong, size);
    if (!success) fail_run(&scene.runs[0], "x");
    if (!success) scene.runs[0].error = (ProtobufCBinaryData){size, (uint8_t *)wrong};
    Shannon__Agent__ExecuteTaskResponse *response = respond(&scene);
    const ProtobufCBinaryData *out = brig__struct_string(response->metadata, "stdout");
    assert_true(packed(response) < ANSWER_MAX && packed(response) > ANSWER_MAX - (256 << 10));
    assert_int_equal(brig__utf8_valid(out->data, out->len), out->len);
    assert_true(fact(response->metadata, "stdout_dropped") == (double)(size - out->len));
    assert_true(brig__struct_get(response->metadata, "truncated")->bool_value);
    end(&scene);
  }
  free(wrong);
  free(wide);
}

/* Two texts of a megabyte each, the default limits, are hardly cut. */
static void a_short_text_is_not_cut_for_a_long_one(void **state) {
  const size_t size = (size_t)4 << 20;
  char *much = calloc(1, size);
  struct scene scene;
  (void)state;
  begin(&scene, one_call);
  set_output(&scene.results[0], "short", 5, much, size);
  Shannon__Agent__ExecuteTaskResponse *response = respond(&scene);
  is(response->result, "short");
  assert_false(brig__struct_get(response->metadata, "truncated")->bool_value);
  assert_true(brig__struct_string(response->metadata, "stderr")->len > (3 << 20));
  set_output(&scene.results[0], much, 1 << 20, "", 0);
  assert_int_equal(respond(&scene)->result.len, 1 << 20);
  end(&scene);
  free(much);
}

static void a_hundred_calls_fit_into_one_answer(void **state) {
  static const char call[] = "{\"tool\": \"code_executor\", \"stdin\": \"%0*d\"}";
  const size_t size = (size_t)1 << 20;
  char *text = malloc(4 << 20), *at = text, *much = calloc(1, size);
  struct scene scene;
  (void)state;
  at += sprintf(at, "{\"tool_calls\": [");
  for (int i = 0; i < TASK_CALLS_MAX; i++) {
    at += sprintf(at, i == 0 ? "" : ",");
    at += sprintf(at, call, i % 2 == 0 ? 15000 : 30000, i);
  }
  strcpy(at, "]}");
  begin(&scene, text);
  for (int i = 0; i < TASK_CALLS_MAX; i++) {
    set_output(&scene.results[i], much, size, much, size);
    if (i % 3 == 1) fail_run(&scene.runs[i], "first");
  }
  Shannon__Agent__ExecuteTaskResponse *response = respond(&scene);
  assert_int_equal(response->n_tool_results, TASK_CALLS_MAX);
  assert_true(packed(response) < ANSWER_MAX);
  is(response->error_message, "first");
  assert_int_equal(brig__struct_list(response->metadata, "calls")->n_values, TASK_CALLS_MAX);
  assert_int_equal(brig__struct_string(response->tool_calls[0]->parameters, "stdin")->len, 15000);
  is(*brig__struct_string(response->tool_calls[1]->parameters, "stdin"), "(30015 bytes)");
  end(&scene);
  free(text);
  free(much);
}

static void one_that_was_not_run_says_so(void **state) {
  struct scene scene;
  (void)state;
  begin(&scene, one_call);
  scene.runs[0].result = NULL;
  fail_run(&scene.runs[0], "no module");
  Shannon__Agent__ExecuteTaskResponse *response = respond(&scene);
  is(*brig__struct_string(response->metadata, "ended"), "not run");
  is(response->tool_results[0]->error_message, "no module");
  end(&scene);
}

static void the_last_update_has_the_result(void **state) {
  struct scene scene;
  (void)state;
  begin(&scene, one_call);
  set_output(&scene.results[0], "out", 3, "", 0);
  Shannon__Agent__TaskUpdate *update =
      brig__answer_ended(&scene.arena, &scene.task, &scene.runs[0], 1, true);
  assert_int_equal(update->state, SHANNON__AGENT__AGENT_STATE__AGENT_STATE_COMPLETED);
  is(update->tool_result->output->string_value, "out");
  update = brig__answer_ended(&scene.arena, &scene.task, &scene.runs[0], 0.5, false);
  assert_int_equal(update->state, SHANNON__AGENT__AGENT_STATE__AGENT_STATE_EXECUTING);
  fail_run(&scene.runs[0], "why");
  update = brig__answer_ended(&scene.arena, &scene.task, &scene.runs[0], 1, true);
  assert_int_equal(update->state, SHANNON__AGENT__AGENT_STATE__AGENT_STATE_FAILED);
  is(update->message, "why");
  end(&scene);
}

static void the_catalog_is_whole(void **state) {
  struct arena arena = {0};
  (void)state;
  for (size_t i = 0; i < CATALOG_COUNT; i++) {
    const ProtobufCBinaryData name = brig__text(brig__catalog[i].name);
    assert_ptr_equal(brig__catalog_find(&name), &brig__catalog[i]);
    Shannon__Agent__ToolCapability *capability =
        brig__catalog_capability(&arena, &brig__catalog[i]);
    assert_non_null(brig__struct_object(capability->input_schema, "properties"));
    assert_non_null(brig__struct_object(capability->output_schema, "properties"));
    assert_non_null(capability->examples[0]->input);
    assert_true(capability->is_dangerous && capability->n_tags > 0);
  }
  brig__arena_free(&arena);
}

static bool finds(const char *query, const char *category, const char *tag, bool safe) {
  ProtobufCBinaryData categories[] = {brig__text(category)}, tags[] = {brig__text(tag)};
  Shannon__Agent__DiscoverToolsRequest request = SHANNON__AGENT__DISCOVER_TOOLS_REQUEST__INIT;
  request.query = brig__text(query);
  request.categories = categories;
  request.n_categories = category != NULL;
  request.tags = tags;
  request.n_tags = tag != NULL;
  request.exclude_dangerous = safe;
  return brig__catalog_wanted(&request, &brig__catalog[1]);
}

static void tools_are_found_by_words_categories_and_tags(void **state) {
  (void)state;
  assert_true(finds(NULL, NULL, NULL, false));
  assert_true(finds("PYTHON", NULL, NULL, false));
  assert_true(finds("goes wrong? no", NULL, NULL, false) == false);
  assert_true(finds(NULL, "code", "session", false));
  assert_false(finds(NULL, "search", NULL, false));
  assert_false(finds(NULL, NULL, "wasm", false));
  assert_false(finds(NULL, NULL, NULL, true));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_success_is_answered_by_the_contract),
      cmocka_unit_test(a_failure_has_no_result_and_its_message_in_both_places),
      cmocka_unit_test(what_is_no_text_is_mended),
      cmocka_unit_test(an_answer_is_one_that_clients_take),
      cmocka_unit_test(a_short_text_is_not_cut_for_a_long_one),
      cmocka_unit_test(a_hundred_calls_fit_into_one_answer),
      cmocka_unit_test(one_that_was_not_run_says_so),
      cmocka_unit_test(the_last_update_has_the_result),
      cmocka_unit_test(the_catalog_is_whole),
      cmocka_unit_test(tools_are_found_by_words_categories_and_tags),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
