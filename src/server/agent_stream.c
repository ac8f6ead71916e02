/* What a stream's client is told, of a job that goes on. */
#include <stdlib.h>
#include "base/utf8.h"
#include "server/agent_job.h"
#include "server/answer.h"
#include "server/pace.h"

static double progress_of(const struct agent_job *job) {
  double each = 1 / (double)job->task.call_count;
  double told = (double)job->deltas_told;
  return ((double)job->runs_told + told / (told + 8)) * each;
}

static void send_update(const struct agent_job *job, const Shannon__Agent__TaskUpdate *update) {
  if (update != NULL && job->call != NULL) brig__rpc_send(job->call, &update->base);
}

static Shannon__Agent__TaskUpdate *new_update(const struct agent_job *job, struct arena *arena) {
  return brig__answer_update(arena, &job->task, SHANNON__AGENT__AGENT_STATE__AGENT_STATE_EXECUTING,
                             progress_of(job));
}

void brig__agent_job_tell_begin(const struct agent_job *job) {
  const struct task *task = &job->task;
  struct arena arena = {0};
  if (job->runs_told == task->call_count) return;
  Shannon__Agent__TaskUpdate *update = new_update(job, &arena);
  if (update != NULL) update->tool_call = brig__answer_call(&arena, &task->calls[job->runs_told]);
  send_update(job, update);
  brig__arena_free(&arena);
}

static void tell_output(struct agent_job *job, const struct delta *delta) {
  struct arena arena = {0};
  size_t size = 0;
  job->deltas_told++;
  Shannon__Agent__TaskUpdate *update = new_update(job, &arena);
  char *text = brig__arena_take(&arena, brig__utf8_repair(delta->data, delta->size, &size));
  if (update != NULL && text != NULL) {
    update->message = brig__text(delta->stream == BRIG_STDOUT ? "stdout" : "stderr");
    update->delta = (ProtobufCBinaryData){size, (uint8_t *)text};
  }
  send_update(job, update);
  brig__arena_free(&arena);
}

static void tell_end(struct agent_job *job, size_t run) {
  if (job->runs[run].status != RPC_OK) return; /* the call's status says it */
  send_update(job, job->updates[run]);
  job->runs_told = run + 1;
  job->deltas_told = 0;
  brig__agent_job_tell_begin(job);
}

static void on_slow(evutil_socket_t fd, short what, void *context) {
  (void)fd;
  (void)what;
  brig__agent_job_tell(context);
}

static void tell(struct agent_job *job, struct delta *delta) {
  if (delta->stream == 0)
    tell_end(job, delta->run);
  else
    tell_output(job, delta);
  free(delta->data);
}

void brig__agent_job_tell(struct agent_job *job) {
  struct delta delta;
  job->held = true;
  while (job->call != NULL) {
    int room = brig__pace(&job->slow, job->service->base, job->call, on_slow, job);
    if (room < 0)
      brig__agent_job_stop(job, RPC_RESOURCE_EXHAUSTED, "out of memory: try again later");
    if (room <= 0) break;
    if (brig__deltas_next(&job->deltas, PACE_PIECE, &delta)) {
      tell(job, &delta);
    } else {
      if (!job->working) brig__agent_job_answer(job);
      break;
    }
  }
  job->held = false;
  brig__agent_job_release(job);
}
