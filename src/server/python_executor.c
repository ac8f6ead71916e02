/* The tool python_executor: brig/python_executor.h, with a task's parameters. */
#include "server/tool.h"

#include <math.h>
#include <string.h>
#include "session/session.h"

#define PARAMETERS(X)                 \
  X("code", STRING, "a string")       \
  X("stdin", STRING, "a string")      \
  X("session_id", STRING, "a string") \
  X("timeout_seconds", NUMBER, "a number")

static bool has_right_types(struct tool_run *run) {
  static const struct {
    const char *name;
    Google__Protobuf__Value__KindCase kind;
    const char *words;
  } parameters[] = {
#define ROW(name, kind, words) {name, GOOGLE__PROTOBUF__VALUE__KIND_##kind##_VALUE, words},
      PARAMETERS(ROW)
#undef ROW
  };
  for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
    const proto_value *value = brig__struct_get(run->call->parameters, parameters[i].name);
    if (value == NULL || value->kind_case == parameters[i].kind) continue;
    brig__tool_refuse(run, "'%s' must be %s", parameters[i].name, parameters[i].words);
    return false;
  }
  return true;
}

/* The call's own word, then the task's, then the operator's. */
static double timeout_seconds(const struct tool_run *run) {
  const struct brig_settings *settings = run->setting->settings;
  const proto_value *value = brig__struct_get(run->call->parameters, "timeout_seconds");
  double seconds = value != NULL ? value->number_value : 0;
  if (seconds < 0 || !isfinite(seconds)) return seconds; /* which is refused, in good words */
  if (run->task->timeout_ms != 0 &&
      (seconds == 0 || (double)run->task->timeout_ms < seconds * 1000))
    seconds = (double)run->task->timeout_ms / 1000;
  if (seconds == 0) seconds = (double)settings->python_executor_wasi_timeout_seconds;
  if (seconds == 0) seconds = (double)settings->wasi_execution_timeout_ms / 1000;
  if (seconds > BRIG_PYTHON_TIMEOUT_MAX_SECONDS) seconds = BRIG_PYTHON_TIMEOUT_MAX_SECONDS;
  return (double)brig__tool_timeout_ms(run, (uint64_t)(seconds * 1000)) / 1000;
}

static uint64_t memory_bytes(const struct tool_run *run) {
  if (run->task->memory_bytes != 0) return run->task->memory_bytes;
  return run->setting->settings->python_executor_wasi_memory_limit_mb << 20;
}

static void read_text(const struct tool_run *run, const char *key, const char **ret_text,
                      size_t *ret_size) {
  const ProtobufCBinaryData *text = brig__struct_string(run->call->parameters, key);
  *ret_text = text == NULL ? NULL : text->len == 0 ? "" : (const char *)text->data;
  *ret_size = text == NULL ? 0 : text->len;
}

/* Its own, or the task's. With a 0 byte in it, it is one that is refused. */
static const char *session_of(const struct tool_run *run) {
  const ProtobufCBinaryData *text = brig__struct_string(run->call->parameters, "session_id");
  if (text == NULL || text->len == 0) return run->task->session;
  const char *id = brig__text_string(run->arena, text);
  return id != NULL ? id : "\\0";
}

/* An id that is none is refused later, in good words. */
static bool has_room(struct tool_run *run, const char *session) {
  const char *workspace, *memory;
  if (session == NULL || brig__session_id_check(session, NULL) < 0) return true;
  return brig__tool_directories(run, session, &workspace, &memory);
}

static void execute(struct tool_run *run, const struct brig_python_call *call) {
  struct brig_error err;
  if (brig_python_execute(run->setting->python, call, &run->python, &err) < 0) {
    brig__tool_fail(run, &err);
    return;
  }
  const struct brig_python_result *result = run->python;
  run->success = result->success;
  run->result = result->turn == NULL ? NULL : result->turn->run;
  if (result->failure.code != 0 && result->failure.code != BRIG_E_INVALID)
    run->failure = brig__arena_copy(run->arena, &result->failure, sizeof result->failure);
  if (result->error != NULL) run->error = brig__text(result->error);
}

void brig__python_executor_run(struct tool_run *run) {
  struct brig_python_call call = BRIG_PYTHON_CALL_INIT;
  const char *input;
  if (run->setting->python == NULL) {
    brig__tool_refuse(run, "python_executor: the interpreter is not installed");
    return;
  }
  if (!has_right_types(run)) return;
  read_text(run, "code", &call.code, &call.code_size);
  read_text(run, "stdin", &input, &call.input_size);
  call.input = input;
  call.session_id = session_of(run);
  if (!has_room(run, call.session_id)) return;
  call.tenant = run->tenant;
  call.user = run->task->user;
  call.timeout_seconds = timeout_seconds(run);
  call.memory_bytes = memory_bytes(run);
  call.on_output = run->on_output;
  call.on_output_context = run->on_output_context;
  call.cancel = run->cancel;
  if (!run->arena->failed) execute(run, &call);
}
