#include "server/agent_job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "server/answer.h"
#include "server/tenants.h"

/* --- Its end -------------------------------------------------------------------------------- */

void brig__agent_job_release(struct agent_job *job) {
  struct agent_service *service = job->service;
  if (job->call != NULL || job->working || job->held) return;
  LIST_REMOVE(job, link);
  for (size_t i = 0; i < job->run_count; i++) brig__tool_run_end(&job->runs[i]);
  if (job->timer != NULL) event_free(job->timer);
  if (job->slow != NULL) event_free(job->slow);
  brig_cancel_free(job->cancel);
  brig__deltas_free(&job->deltas);
  brig__arena_free(&job->arena);
  protobuf_c_message_free_unpacked(&job->request->base, NULL);
  free(job);
  if (--service->job_count == 0 && service->idle != NULL) service->idle(service->idle_context);
}

static const char *mode_name(const struct agent_job *job) {
  switch (job->request->mode) {
    case SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_SIMPLE:
      return "simple";
    case SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_STANDARD:
      return "standard";
    case SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_COMPLEX:
      return "complex";
    default:
      return "unspecified";
  }
}

/* The call is over: with `status`, and what it counts as. */
static void settle(struct agent_job *job, enum rpc_status status, bool well) {
  struct agent_service *service = job->service;
  uint64_t now_us = brig__now_us();
  if (job->admitted) brig__enforcement_end(service->enforcement, &job->ticket, status, now_us);
  brig__metrics_add(service->metrics, METRIC_tasks, 1, mode_name(job), well ? "success" : "error");
  brig__metrics_observe(service->metrics, METRIC_task_duration,
                        (double)(now_us - job->begun_us) / 1e6, mode_name(job));
  job->call = NULL;
}

static void finish(struct agent_job *job, enum rpc_status status, const char *message) {
  struct rpc_call *call = job->call;
  settle(job, status, false);
  brig__rpc_finish(call, status, message);
}

void brig__agent_job_stop(struct agent_job *job, enum rpc_status status, const char *message) {
  if (job->cancel != NULL) brig_cancel_trigger(job->cancel);
  if (job->call != NULL) finish(job, status, message);
  brig__agent_job_release(job);
}

static void on_cancel(struct rpc_call *call, void *context) {
  (void)call;
  brig__agent_job_stop(context, RPC_CANCELLED, NULL);
}

static void on_timeout(evutil_socket_t fd, short what, void *context) {
  (void)fd;
  (void)what;
  brig__agent_job_stop(context, brig__enforcement_status(ENFORCEMENT_TIMEOUT),
                       brig__enforcement_message(ENFORCEMENT_TIMEOUT));
}

/* --- What came of it ------------------------------------------------------------------------ */

static void log_run(const struct agent_job *job, const struct tool_run *run) {
  const struct brig_error *failure = run->failure;
  enum log_level level = failure != NULL && run->status != RPC_OK ? LOG_ERROR : LOG_INFO;
  LOG(job->service->log, level, "execution", LOG_TEXT("tool", run->call->tool->name),
      LOG_TEXT("tenant", job->tenant), LOG_TEXT("user", job->task.user),
      LOG_TEXT("session", job->task.session),
      LOG_TEXT("ended", run->result == NULL ? "not run" : brig_outcome_name(run->result->outcome)),
      LOG_TEXT("error", failure == NULL ? NULL : failure->message),
      LOG_COUNT("time_us", run->time_us));
}

static void count_run(const struct agent_job *job, const struct tool_run *run) {
  struct metrics *metrics = job->service->metrics;
  const char *tool = run->call->tool->name, *status = run->success ? "success" : "error";
  brig__metrics_add(metrics, METRIC_tool_executions, 1, tool, status);
  brig__metrics_observe(metrics, METRIC_tool_duration, (double)run->time_us / 1e6, tool);
  if (run->result != NULL) brig__metrics_result(metrics, run->result);
}

/* NULL: they went as far as they could. */
static struct tool_run *broken_run(const struct agent_job *job) {
  struct tool_run *last = &job->runs[job->run_count - 1];
  return last->status == RPC_OK ? NULL : last;
}

/* False, and ended: Brig could not run it, or has no memory for the answer. */
static bool went_through(struct agent_job *job) {
  struct tool_run *broken = broken_run(job);
  const char *message = broken == NULL ? NULL : brig__text_string(&job->arena, &broken->error);
  if (broken != NULL)
    finish(job, broken->status, message);
  else if (job->arena.failed || job->deltas.failed)
    finish(job, RPC_RESOURCE_EXHAUSTED, "out of memory: try again later");
  return job->call != NULL;
}

static bool all_went_well(const struct agent_job *job) {
  for (size_t i = 0; i < job->run_count; i++)
    if (!job->runs[i].success) return false;
  return true;
}

void brig__agent_job_answer(struct agent_job *job) {
  struct rpc_call *call = job->call;
  if (call == NULL || !went_through(job)) return;
  settle(job, RPC_OK, all_went_well(job));
  if (job->streams)
    brig__rpc_finish(call, RPC_OK, NULL);
  else
    brig__rpc_reply(call, &job->response->base);
}

/* --- The thread ---------------------------------------------------------------------------------
 */

static void post(struct agent_job *job, void (*run)(void *context)) {
  /* Without it nobody would ever hear of what the thread has done. */
  while (brig__rpc_post(job->service->rpc, run, job) < 0) usleep(10000);
}

static void on_news(void *context) { brig__agent_job_tell(context); }

static void on_output(void *context, enum brig_stream stream_id, const void *data, size_t size) {
  struct agent_job *job = context;
  if (brig__deltas_add(&job->deltas, stream_id, data, size)) post(job, on_news);
}

static void run_call(struct agent_job *job, size_t index) {
  struct task *task = &job->task;
  struct tool_run *run = &job->runs[index];
  uint64_t began_us = brig__now_us();
  run->call = &task->calls[index];
  run->call->tool->run(run);
  run->time_us = brig__now_us() - began_us;
  if (!job->streams) return;
  bool last = index + 1 == task->call_count;
  job->updates[index] = brig__answer_ended(&job->arena, task, run,
                                           (double)(index + 1) / (double)task->call_count, last);
  if (brig__deltas_end_run(&job->deltas, index)) post(job, on_news);
}

static void on_done(void *context) {
  struct agent_job *job = context;
  job->working = false;
  for (size_t i = 0; i < job->run_count; i++) {
    log_run(job, &job->runs[i]);
    count_run(job, &job->runs[i]);
  }
  if (job->streams) {
    brig__agent_job_tell(job);
    return;
  }
  job->held = true;
  brig__agent_job_answer(job);
  job->held = false;
  brig__agent_job_release(job);
}

static void work(void *context) {
  struct agent_job *job = context;
  struct task *task = &job->task;
  bool goes_on = true;
  for (size_t i = 0; i < task->call_count && goes_on; i++) {
    job->run_count = i + 1;
    run_call(job, i);
    goes_on = job->runs[i].status == RPC_OK;
  }
  if (goes_on && !job->streams)
    job->response =
        brig__answer_response(&job->arena, task, job->runs, brig__now_us() - job->begun_us);
  post(job, on_done);
}

/* --- Its beginning
 * -------------------------------------------------------------------------------- */

static enum enforcement_verdict admit(struct agent_job *job) {
  const Shannon__Agent__ExecuteTaskRequest *request = job->request;
  const Shannon__Common__TaskMetadata *metadata = request->metadata;
  const struct enforcement_request asked = {
      .tenant = job->tenant,
      .user = metadata == NULL ? NULL : metadata->user_id.data,
      .user_size = metadata == NULL ? 0 : metadata->user_id.len,
      .query_bytes = request->query.len,
  };
  enum enforcement_verdict verdict =
      brig__enforcement_begin(job->service->enforcement, &asked, brig__now_us(), &job->ticket);
  job->admitted = verdict == ENFORCEMENT_ALLOWED;
  return verdict;
}

static uint64_t end_of(const struct agent_job *job) {
  uint64_t deadline_us = brig__rpc_call_deadline_us(job->call);
  uint64_t enforced_us = job->begun_us + brig__enforcement_timeout_us(job->service->enforcement);
  return deadline_us < enforced_us ? deadline_us : enforced_us;
}

static void prepare_runs(struct agent_job *job) {
  size_t count = job->task.call_count;
  const struct tool_run run = {
      .setting = job->service->setting,
      .task = &job->task,
      .tenant = job->tenant,
      .ends_us = end_of(job),
      .arena = &job->arena,
      .cancel = job->cancel,
      .on_output = job->streams ? on_output : NULL,
      .on_output_context = job,
  };
  job->runs = brig__arena_new(&job->arena, count * sizeof run);
  job->updates = brig__arena_new(&job->arena, count * sizeof *job->updates);
  for (size_t i = 0; i < count && job->runs != NULL; i++) job->runs[i] = run;
}

static bool set_timer(struct agent_job *job) {
  uint64_t us = brig__enforcement_timeout_us(job->service->enforcement);
  const struct timeval wait = {.tv_sec = (time_t)(us / 1000000),
                               .tv_usec = (suseconds_t)(us % 1000000)};
  job->timer = evtimer_new(job->service->base, on_timeout, job);
  return job->timer != NULL && event_add(job->timer, &wait) == 0;
}

/* RPC_OK: the thread has it. */
static enum rpc_status begin(struct agent_job *job, const char **ret_message) {
  struct agent_service *service = job->service;
  *ret_message = "the server is starting: try again soon";
  if (!service->started) return RPC_UNAVAILABLE;
  enum enforcement_verdict verdict = admit(job);
  *ret_message = brig__enforcement_message(verdict);
  if (verdict != ENFORCEMENT_ALLOWED) return brig__enforcement_status(verdict);
  enum rpc_status status = brig__task_read(job->request, service->setting->settings, &job->arena,
                                           &job->task, ret_message);
  if (status != RPC_OK) return status;
  *ret_message = "out of memory: try again later";
  if (brig_cancel_new(&job->cancel, NULL) < 0 || !set_timer(job)) return RPC_RESOURCE_EXHAUSTED;
  prepare_runs(job);
  if (job->arena.failed) return RPC_RESOURCE_EXHAUSTED;
  *ret_message = "too many executions at once: try again later";
  if (brig__executor_run(service->executor, work, job) < 0) return RPC_RESOURCE_EXHAUSTED;
  job->working = true;
  return RPC_OK;
}

void brig__agent_job_start(struct agent_service *service, struct rpc_call *call,
                           Shannon__Agent__ExecuteTaskRequest *request, bool streams) {
  struct agent_job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    protobuf_c_message_free_unpacked(&request->base, NULL);
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory: try again later");
    return;
  }
  const struct caller *caller = brig__rpc_call_caller(call);
  job->service = service;
  job->call = call;
  job->request = request;
  job->streams = streams;
  job->begun_us = brig__rpc_call_begun_us(call);
  job->tenant = caller == NULL ? NULL : caller->tenant;
  brig__deltas_init(&job->deltas);
  LIST_INSERT_HEAD(&service->jobs, job, link);
  service->job_count++;
  const char *message = NULL;
  enum rpc_status status = begin(job, &message);
  if (status != RPC_OK) {
    brig__agent_job_stop(job, status, message);
    return;
  }
  brig__rpc_on_cancel(call, on_cancel, job);
  job->held = true;
  if (streams) brig__agent_job_tell_begin(job);
  job->held = false;
  brig__agent_job_release(job);
}
