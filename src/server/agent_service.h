/* server/agent_service.h - shannon.agent.AgentService.
 *
 * A task is read on the loop, run on a thread of the executor's, and answered on the loop.
 * Its client is gone: its worker is killed at once, its thread ends soon after.
 *
 * Threads: the loop's.
 */
#ifndef BRIG_SERVER_AGENT_SERVICE_H
#define BRIG_SERVER_AGENT_SERVICE_H

#include <event2/event.h>
#include <sys/queue.h>
#include "rpc/rpc.h"
#include "server/enforcement.h"
#include "server/executor.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/tool.h"

struct agent_job;

struct agent_service {
  /* What it needs, all of the server's. */
  struct event_base *base;
  struct rpc_server *rpc;
  struct executor *executor;
  struct enforcement *enforcement;
  struct metrics *metrics;
  struct log *log;
  const struct tool_setting *setting;
  uint64_t max_executions;
  bool started; /* `setting` is whole: before, nothing is run */
  bool healthy; /* for HealthCheck */
  uint64_t started_us;
  /* Its own: jobs that are not answered, or whose thread works. */
  LIST_HEAD(, agent_job) jobs;
  size_t job_count;
  void (*idle)(void *context); /* there are none any more; NULL: nobody asked */
  void *idle_context;
};

#define AGENT_METHODS 6

/* Its methods, with the service as their context. */
void brig__agent_methods(struct agent_service *service, struct rpc_method methods[AGENT_METHODS]);
/* End all there are, as unavailable. */
void brig__agent_cancel_all(struct agent_service *service);
/* Have `idle` called once there is none, which may be now. */
void brig__agent_when_idle(struct agent_service *service, void (*idle)(void *context),
                           void *context);

#endif
