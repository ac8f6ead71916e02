#include "server/task.h"

#include <string.h>
#include "base/fd.h"
#include "session/session.h"

#define USER_MAX    256
#define TASK_ID_MAX 1024

struct reading {
  const Shannon__Agent__ExecuteTaskRequest *request;
  struct arena *arena;
  struct task *task;
  const char *message;
};

#define REFUSE(reading, status, ...) \
  ((reading)->message = brig__arena_format((reading)->arena, __VA_ARGS__), (status))

/* --- Which tools ------------------------------------------------------------------ */

static bool is_available(const struct reading *reading, const ProtobufCBinaryData *name) {
  const Shannon__Agent__ExecuteTaskRequest *request = reading->request;
  for (size_t i = 0; i < request->n_available_tools; i++) {
    const ProtobufCBinaryData *available = &request->available_tools[i];
    if (available->len == name->len && memcmp(available->data, name->data, name->len) == 0)
      return true;
  }
  return request->n_available_tools == 0;
}

/* NULL: it has none. `ret_key` is where it stands, or NULL. */
static const ProtobufCBinaryData *name_of(const struct reading *reading, const proto_struct *object,
                                          const char **ret_key) {
  static const char *const keys[] = {"tool", "tool_name", "name"};
  *ret_key = NULL;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const ProtobufCBinaryData *name = brig__struct_string(object, keys[i]);
    if (name == NULL || name->len == 0) continue;
    *ret_key = keys[i];
    return name;
  }
  return reading->request->n_available_tools == 1 ? &reading->request->available_tools[0] : NULL;
}

/* The object's other fields, and then those of its `parameters`, which so count more. */
static proto_struct *parameters_of(struct reading *reading, const proto_struct *object,
                                   const char *name_key) {
  const proto_struct *nested = brig__struct_object(object, "parameters");
  size_t more = nested == NULL ? 0 : nested->n_fields;
  proto_struct *parameters = brig__struct_new(reading->arena, object->n_fields + more);
  if (parameters == NULL) return NULL;
  for (size_t i = 0; i < object->n_fields; i++) {
    const char *key = object->fields[i]->key;
    if (name_key != NULL && strcmp(key, name_key) == 0) continue;
    if (nested != NULL && strcmp(key, "parameters") == 0) continue;
    parameters->fields[parameters->n_fields++] = object->fields[i];
  }
  for (size_t i = 0; i < more; i++) parameters->fields[parameters->n_fields++] = nested->fields[i];
  return parameters;
}

#define SHOWN(text) (int)brig__text_cut(text, 128), (const char *)(text)->data

static enum rpc_status read_call(struct reading *reading, const proto_struct *object,
                                 struct task_call *ret_call) {
  const char *key = NULL;
  const ProtobufCBinaryData *name = name_of(reading, object, &key);
  if (name == NULL)
    return REFUSE(reading, RPC_INVALID_ARGUMENT,
                  "tool_parameters missing required 'tool' string field");
  if (!is_available(reading, name))
    return REFUSE(reading, RPC_PERMISSION_DENIED, "Tool '%.*s' is not allowed for this request",
                  SHOWN(name));
  ret_call->tool = brig__catalog_find(name);
  if (ret_call->tool == NULL)
    return REFUSE(reading, RPC_NOT_FOUND,
                  "there is no tool '%.*s': this server has code_executor and python_executor",
                  SHOWN(name));
  ret_call->parameters = parameters_of(reading, object, key);
  return RPC_OK;
}

static enum rpc_status read_list(struct reading *reading, const proto_value *value) {
  struct task *task = reading->task;
  const Google__Protobuf__ListValue *list =
      value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE ? value->list_value : NULL;
  if (list == NULL || list->n_values == 0 || list->n_values > TASK_CALLS_MAX)
    return REFUSE(reading, RPC_INVALID_ARGUMENT, "tool_calls must be a list of 1 to %d objects",
                  TASK_CALLS_MAX);
  task->listed = true;
  task->call_count = list->n_values;
  task->calls = brig__arena_new(reading->arena, list->n_values * sizeof *task->calls);
  enum rpc_status status = RPC_OK;
  for (size_t i = 0; i < list->n_values && status == RPC_OK && task->calls != NULL; i++) {
    const proto_value *item = list->values[i];
    if (item->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
      status = read_call(reading, item->struct_value, &task->calls[i]);
    else
      status = REFUSE(reading, RPC_INVALID_ARGUMENT, "tool_calls: item %zu must be an object", i);
  }
  return status;
}

static enum rpc_status read_calls(struct reading *reading) {
  const proto_struct *context = reading->request->context;
  const proto_value *parameters = brig__struct_get(context, "tool_parameters");
  const proto_value *list = brig__struct_get(context, "tool_calls");
  if (parameters != NULL && parameters->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
    return REFUSE(reading, RPC_INVALID_ARGUMENT, "tool_parameters must be an object");
  if (list != NULL) return read_list(reading, list);
  if (parameters == NULL)
    return REFUSE(reading, RPC_FAILED_PRECONDITION,
                  "this server runs tools and has no language model: say which in "
                  "context.tool_parameters, such as {\"tool\": \"python_executor\", \"code\": "
                  "\"print(1)\"}");
  reading->task->call_count = 1;
  reading->task->calls = brig__arena_new(reading->arena, sizeof *reading->task->calls);
  return reading->task->calls == NULL
             ? RPC_OK
             : read_call(reading, parameters->struct_value, reading->task->calls);
}

/* --- On whose behalf -------------------------------------------------------------- */

static const ProtobufCBinaryData none = {0};

/* The first that says anything. */
static const ProtobufCBinaryData *either(const ProtobufCBinaryData *a,
                                         const ProtobufCBinaryData *b) {
  return a->len > 0 ? a : b;
}

static enum rpc_status read_ids(struct reading *reading) {
  const Shannon__Agent__SessionContext *context = reading->request->session_context;
  const Shannon__Common__TaskMetadata *metadata = reading->request->metadata;
  const ProtobufCBinaryData *session = either(context == NULL ? &none : &context->session_id,
                                              metadata == NULL ? &none : &metadata->session_id);
  const ProtobufCBinaryData *user = either(context == NULL ? &none : &context->user_id,
                                           metadata == NULL ? &none : &metadata->user_id);
  struct brig_error why;
  if (metadata != NULL) reading->task->id = metadata->task_id;
  if (reading->task->id.len > TASK_ID_MAX)
    return REFUSE(reading, RPC_INVALID_ARGUMENT, "a task id has at most %d bytes", TASK_ID_MAX);
  if (user->len > 0) reading->task->user = brig__text_string(reading->arena, user);
  if (user->len > USER_MAX || (user->len > 0 && reading->task->user == NULL))
    return REFUSE(reading, RPC_INVALID_ARGUMENT,
                  "a user id has at most %d bytes, and no 0 byte among them", USER_MAX);
  if (session->len == 0) return RPC_OK;
  reading->task->session = brig__text_string(reading->arena, session);
  if (brig__session_id_check(reading->task->session, &why) < 0)
    return REFUSE(reading, RPC_INVALID_ARGUMENT, "%s", why.message);
  return RPC_OK;
}

/* --- How much --------------------------------------------------------------------- */

/* In units of `unit`; 0 for none, and never above the ceiling. */
static uint64_t limit(int64_t asked, uint64_t unit, uint64_t ceiling) {
  if (asked <= 0) return 0;
  return (uint64_t)asked > ceiling / unit ? ceiling : (uint64_t)asked * unit;
}

static void read_limits(struct reading *reading, const struct brig_settings *settings) {
  const Shannon__Agent__AgentConfig *config = reading->request->config;
  if (config == NULL) return;
  reading->task->timeout_ms =
      limit(config->timeout_seconds, 1000, settings->ceiling_execution_timeout_ms);
  reading->task->memory_bytes =
      limit(config->memory_limit_mb, UINT64_C(1) << 20, settings->ceiling_memory_limit_bytes);
}

enum rpc_status brig__task_read(const Shannon__Agent__ExecuteTaskRequest *request,
                                const struct brig_settings *settings, struct arena *arena,
                                struct task *ret_task, const char **ret_message) {
  struct reading reading = {.request = request, .arena = arena, .task = ret_task};
  *ret_task = (struct task){.request = request};
  enum rpc_status status = read_calls(&reading);
  if (status == RPC_OK) status = read_ids(&reading);
  if (status == RPC_OK) read_limits(&reading, settings);
  if (arena->failed) {
    *ret_message = "out of memory";
    return RPC_RESOURCE_EXHAUSTED;
  }
  if (status != RPC_OK) *ret_message = reading.message;
  return status;
}
