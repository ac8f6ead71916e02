#include "server/answer.h"

#include <string.h>
#include "base/utf8.h"

/* Beside texts: keys, numbers, names, and what protobuf needs. */
#define OTHER_MAX ((size_t)64 << 10)
#define ECHO_MAX  ((size_t)16 << 10) /* of a call's parameters */

/* --- Texts --------------------------------------------------------------------------- */

static ProtobufCBinaryData mended(struct arena *arena, ProtobufCBinaryData text) {
  if (text.len == 0 || brig__utf8_valid(text.data, text.len) == text.len) return text;
  size_t size = 0;
  char *repaired = brig__arena_take(arena, brig__utf8_repair(text.data, text.len, &size));
  return (ProtobufCBinaryData){repaired == NULL ? 0 : size, (uint8_t *)repaired};
}

/* The texts of one run, and how often each is sent. */
enum { OUTPUT, ERROR, STDOUT, STDERR, TEXTS };
struct texts {
  ProtobufCBinaryData text[TEXTS];
  size_t copies[TEXTS];
  size_t cut[TEXTS];
};

static ProtobufCBinaryData bytes(const void *data, size_t size) {
  return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)data};
}

static size_t size_within(const struct texts *texts, size_t level) {
  size_t sum = 0;
  for (int i = 0; i < TEXTS; i++)
    sum += texts->copies[i] * (texts->text[i].len < level ? texts->text[i].len : level);
  return sum;
}

/* The longest are cut to one length, such that all is within `max`. */
static void cut_to(struct texts *texts, size_t max) {
  size_t low = 0, high = max + 1;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (size_within(texts, middle) <= max)
      low = middle;
    else
      high = middle;
  }
  for (int i = 0; i < TEXTS; i++) {
    size_t kept = brig__text_cut(&texts->text[i], low);
    texts->cut[i] = texts->text[i].len - kept;
    texts->text[i].len = kept;
  }
}

static struct texts texts_of(struct tool_run *run, size_t max) {
  const struct brig_result *result = run->result;
  struct texts texts = {.copies = {2, 2, 1, 1}};
  if (result != NULL) {
    texts.text[STDOUT] = mended(run->arena, bytes(result->stdout_data, result->stdout_size));
    texts.text[STDERR] = mended(run->arena, bytes(result->stderr_data, result->stderr_size));
  }
  if (run->success && run->python != NULL)
    texts.text[OUTPUT] = bytes(run->python->output, run->python->output_size);
  else if (run->success)
    texts.text[OUTPUT] = texts.text[STDOUT];
  else
    texts.text[ERROR] = mended(run->arena, run->error);
  cut_to(&texts, max);
  return texts;
}

/* --- Metadata ------------------------------------------------------------------------ */

struct facts {
  struct arena *arena;
  proto_struct *object;
};

static void number(struct facts *facts, const char *key, double value) {
  brig__struct_add_number(facts->arena, facts->object, key, value);
}

static void string(struct facts *facts, const char *key, const char *value) {
  brig__struct_add_text(facts->arena, facts->object, key, value);
}

static void text(struct facts *facts, const char *key, ProtobufCBinaryData value) {
  brig__struct_add(facts->arena, facts->object, key, brig__value_string(facts->arena, value));
}

static void truth(struct facts *facts, const char *key, bool value) {
  brig__struct_add_bool(facts->arena, facts->object, key, value);
}

static void add_result(struct facts *facts, const struct brig_result *result,
                       const struct texts *texts) {
  string(facts, "ended", brig_outcome_name(result->outcome));
  if (result->outcome == BRIG_OUTCOME_EXITED) number(facts, "exit_code", result->exit_code);
  if (result->outcome == BRIG_OUTCOME_TRAPPED) string(facts, "trap", result->trap);
  if (result->outcome == BRIG_OUTCOME_KILLED) number(facts, "signal", result->signal);
  text(facts, "stdout", texts->text[STDOUT]);
  text(facts, "stderr", texts->text[STDERR]);
  number(facts, "stdout_dropped", (double)result->stdout_dropped + (double)texts->cut[STDOUT]);
  number(facts, "stderr_dropped", (double)result->stderr_dropped + (double)texts->cut[STDERR]);
  if (result->metered && result->accounted) number(facts, "fuel_used", (double)result->fuel_used);
  number(facts, "cpu_ms", (double)result->cpu_us / 1000);
  number(facts, "wall_ms", (double)result->wall_us / 1000);
  number(facts, "queue_ms", (double)result->queue_us / 1000);
  number(facts, "peak_memory_bytes", (double)result->memory_bytes);
  truth(facts, "warm", result->warm);
}

static void add_python(struct facts *facts, const struct brig_python_result *python) {
  number(facts, "execution_time_ms", (double)python->execution_time_ms);
  string(facts, "session_id", python->session_id);
  number(facts, "execution_count", (double)python->execution_count);
  string(facts, "interpreter", python->interpreter);
}

#define FACTS_MAX 20

static proto_struct *metadata_of(struct tool_run *run, const struct texts *texts) {
  struct facts facts = {run->arena, brig__struct_new(run->arena, FACTS_MAX)};
  if (run->result != NULL)
    add_result(&facts, run->result, texts);
  else
    string(&facts, "ended", "not run");
  if (run->python != NULL) add_python(&facts, run->python);
  truth(&facts, "truncated", texts->cut[OUTPUT] + texts->cut[ERROR] > 0);
  return facts.object;
}

/* --- Calls and results ---------------------------------------------------------------- */

/* The parameters as they came; long ones, such as a module, by their size alone. */
static proto_struct *echo(struct arena *arena, const proto_struct *parameters) {
  proto_struct *copy = brig__struct_new(arena, parameters->n_fields);
  size_t left = ECHO_MAX;
  for (size_t i = 0; i < parameters->n_fields && copy != NULL; i++) {
    const proto_entry *entry = parameters->fields[i];
    size_t size = protobuf_c_message_get_packed_size(&entry->base);
    if (size <= left) {
      copy->fields[copy->n_fields++] = parameters->fields[i];
      left -= size;
    } else if (strlen(entry->key) < left / 2 && left > 128) {
      brig__struct_add_text(arena, copy, entry->key,
                            brig__arena_format(arena, "(%zu bytes)", size));
      left -= strlen(entry->key) + 64;
    }
  }
  return copy;
}

Shannon__Common__ToolCall *brig__answer_call(struct arena *arena, const struct task_call *call) {
  Shannon__Common__ToolCall *message = brig__arena_new(arena, sizeof *message);
  if (message == NULL) return NULL;
  shannon__common__tool_call__init(message);
  message->name = message->tool_id = brig__text(call->tool->name);
  message->parameters = echo(arena, call->parameters);
  return message;
}

static Shannon__Common__ToolResult *result_of(struct tool_run *run, const struct texts *texts) {
  Shannon__Common__ToolResult *message = brig__arena_new(run->arena, sizeof *message);
  if (message == NULL) return NULL;
  shannon__common__tool_result__init(message);
  message->tool_id = brig__text(run->call->tool->name);
  message->output = brig__value_string(run->arena, texts->text[OUTPUT]);
  message->status = run->success ? SHANNON__COMMON__STATUS_CODE__STATUS_CODE_OK
                                 : SHANNON__COMMON__STATUS_CODE__STATUS_CODE_ERROR;
  message->error_message = texts->text[ERROR];
  message->execution_time_ms = (int64_t)(run->time_us / 1000);
  return message;
}

/* --- The response ---------------------------------------------------------------------- */

static proto_struct *all_metadata(struct arena *arena, proto_struct **each, size_t count) {
  proto_struct *all = brig__struct_new(arena, 1);
  proto_value **values = brig__arena_new(arena, count * sizeof(proto_value *));
  for (size_t i = 0; i < count && values != NULL; i++)
    values[i] = brig__value_struct(arena, each[i]);
  brig__struct_add(arena, all, "calls", brig__value_list(arena, values, count));
  return all;
}

static Shannon__Common__ExecutionMetrics *metrics_of(struct arena *arena, const struct task *task,
                                                     uint64_t latency_us) {
  Shannon__Common__ExecutionMetrics *metrics = brig__arena_new(arena, sizeof *metrics);
  if (metrics == NULL) return NULL;
  shannon__common__execution_metrics__init(metrics);
  metrics->latency_ms = (int64_t)(latency_us / 1000);
  metrics->mode = task->request->mode;
  return metrics;
}

/* The first failure is the task's; without one, the last output is its result. */
static void conclude(Shannon__Agent__ExecuteTaskResponse *response) {
  size_t failed = 0;
  while (failed < response->n_tool_results &&
         response->tool_results[failed]->status == SHANNON__COMMON__STATUS_CODE__STATUS_CODE_OK)
    failed++;
  if (failed == response->n_tool_results) {
    response->status = SHANNON__COMMON__STATUS_CODE__STATUS_CODE_OK;
    response->final_state = SHANNON__AGENT__AGENT_STATE__AGENT_STATE_COMPLETED;
    response->result = response->tool_results[failed - 1]->output->string_value;
  } else {
    response->status = SHANNON__COMMON__STATUS_CODE__STATUS_CODE_ERROR;
    response->final_state = SHANNON__AGENT__AGENT_STATE__AGENT_STATE_FAILED;
    response->error_message = response->tool_results[failed]->error_message;
  }
}

Shannon__Agent__ExecuteTaskResponse *brig__answer_response(struct arena *arena,
                                                           const struct task *task,
                                                           struct tool_run *runs,
                                                           uint64_t latency_us) {
  size_t count = task->call_count;
  size_t share = (ANSWER_MAX - OTHER_MAX) / count - OTHER_MAX / 2;
  Shannon__Agent__ExecuteTaskResponse *response = brig__arena_new(arena, sizeof *response);
  Shannon__Common__ToolCall **calls = brig__arena_new(arena, count * sizeof *calls);
  Shannon__Common__ToolResult **results = brig__arena_new(arena, count * sizeof *results);
  proto_struct **facts = brig__arena_new(arena, count * sizeof *facts);
  if (arena->failed) return NULL;
  for (size_t i = 0; i < count; i++) {
    struct texts texts = texts_of(&runs[i], share);
    calls[i] = brig__answer_call(arena, runs[i].call);
    results[i] = result_of(&runs[i], &texts);
    facts[i] = metadata_of(&runs[i], &texts);
  }
  if (arena->failed) return NULL;
  shannon__agent__execute_task_response__init(response);
  response->task_id = task->id;
  response->tool_calls = calls;
  response->tool_results = results;
  response->n_tool_calls = response->n_tool_results = count;
  response->metadata = task->listed ? all_metadata(arena, facts, count) : facts[0];
  response->metrics = metrics_of(arena, task, latency_us);
  conclude(response);
  return arena->failed ? NULL : response;
}

/* --- Updates --------------------------------------------------------------------------- */

Shannon__Agent__TaskUpdate *brig__answer_update(struct arena *arena, const struct task *task,
                                                Shannon__Agent__AgentState state, double progress) {
  Shannon__Agent__TaskUpdate *update = brig__arena_new(arena, sizeof *update);
  if (update == NULL) return NULL;
  shannon__agent__task_update__init(update);
  update->task_id = task->id;
  update->state = state;
  update->progress = progress;
  return update;
}

Shannon__Agent__TaskUpdate *brig__answer_ended(struct arena *arena, const struct task *task,
                                               struct tool_run *run, double progress, bool last) {
  Shannon__Agent__AgentState state = !last ? SHANNON__AGENT__AGENT_STATE__AGENT_STATE_EXECUTING
                                     : run->success
                                         ? SHANNON__AGENT__AGENT_STATE__AGENT_STATE_COMPLETED
                                         : SHANNON__AGENT__AGENT_STATE__AGENT_STATE_FAILED;
  struct texts texts = texts_of(run, ANSWER_MAX - 2 * OTHER_MAX);
  Shannon__Agent__TaskUpdate *update = brig__answer_update(arena, task, state, progress);
  if (update == NULL) return NULL;
  update->tool_result = result_of(run, &texts);
  update->message = texts.text[ERROR];
  return update;
}
