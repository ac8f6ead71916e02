/* server/agent_job.h - one ExecuteTask or StreamExecuteTask, from its request to its answer.
 *
 * The loop's thread makes it and ends it; in between a thread of the executor's has its task
 * and runs it, and both share the queue of what comes of it, which has a lock. The call ends
 * once, by whatever comes first; the job is freed when its thread is done with it, too.
 */
#ifndef BRIG_SERVER_AGENT_JOB_H
#define BRIG_SERVER_AGENT_JOB_H

#include "server/agent_service.h"
#include "server/deltas.h"

struct agent_job {
  LIST_ENTRY(agent_job) link;
  struct agent_service *service;
  /* Of the loop. */
  struct rpc_call *call; /* NULL: ended */
  bool streams;
  bool working; /* the thread has it, */
  bool held;    /* or a function that sends, which may end the call */
  bool admitted;
  struct enforcement_ticket ticket;
  struct event *timer; /* enforcement's */
  struct event *slow;  /* of a stream, for its client */
  uint64_t begun_us;
  const char *tenant;
  size_t runs_told, deltas_told; /* of a stream: and since the last run's end */
  /* Of the thread while it works, then of the loop. */
  Shannon__Agent__ExecuteTaskRequest *request;
  struct arena arena;
  struct task task;
  struct tool_run *runs;
  size_t run_count; /* that were run */
  struct brig_cancel *cancel;
  Shannon__Agent__ExecuteTaskResponse *response;
  Shannon__Agent__TaskUpdate **updates; /* of a stream: each run's end */
  /* Of both. */
  struct deltas deltas;
};

/* `request` is the job's from now on. */
void brig__agent_job_start(struct agent_service *service, struct rpc_call *call,
                           Shannon__Agent__ExecuteTaskRequest *request, bool streams);
/* End the call, and the work if it still goes on. The job may be gone then. */
void brig__agent_job_stop(struct agent_job *job, enum rpc_status status, const char *message);

/* For agent_stream.c: end the call with what came of the work, which is done; and free the
 * job if nobody has it any more. */
void brig__agent_job_answer(struct agent_job *job);
void brig__agent_job_release(struct agent_job *job);

/* agent_stream.c: tell that a run begins; and all that there is, as far as the client takes
 * it, and its end once all is told. The job may be gone then. */
void brig__agent_job_tell_begin(const struct agent_job *job);
void brig__agent_job_tell(struct agent_job *job);

#endif
