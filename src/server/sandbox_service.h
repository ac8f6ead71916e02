/* server/sandbox_service.h - shannon.sandbox.SandboxService: files of sessions.
 *
 * What goes wrong with a file is told in the reply, `success` false and an `error`. A call's
 * work is done on a thread of the executor's. So many are at once, and of one tenant half as
 * many; others wait, in order. Programs are for AgentService: ExecuteCommand is unimplemented,
 * and says so.
 *
 * Threads: the loop's.
 */
#ifndef BRIG_SERVER_SANDBOX_SERVICE_H
#define BRIG_SERVER_SANDBOX_SERVICE_H

#include <sys/queue.h>
#include "rpc/rpc.h"
#include "server/enforcement.h"
#include "server/executor.h"
#include "server/log.h"
#include "server/tool.h"

/* Of one tenant, half of each. */
#define SANDBOX_RUNNING_MAX 16
#define SANDBOX_JOBS_MAX    1024                /* those that wait included */
#define SANDBOX_BYTES_MAX   ((size_t)256 << 20) /* of their requests */

struct sandbox_job;

struct sandbox_service {
  /* What it needs, all of the server's. */
  struct rpc_server *rpc;
  struct executor *executor;
  struct enforcement *enforcement; /* for how long a call may take */
  struct log *log;
  const struct tool_setting *setting;
  const bool *started; /* the setting is whole: before, nothing is done */
  /* Its own. */
  TAILQ_HEAD(sandbox_jobs, sandbox_job) running, waiting;
};

#define SANDBOX_METHODS 7

/* Its methods, with the service as their context. What it needs may be set later. */
void brig__sandbox_methods(struct sandbox_service *service,
                           struct rpc_method methods[SANDBOX_METHODS]);
/* End all there are, as unavailable. */
void brig__sandbox_cancel_all(struct sandbox_service *service);

#endif
