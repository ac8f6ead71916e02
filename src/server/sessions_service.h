/* server/sessions_service.h - brig.v1.Sessions: brig/session.h for clients, above all for the
 * operator's command line (cli/remote.h).
 *
 * A tenant has its own sessions; the operator names whose he means. Who is neither, since the
 * server has no tokens, is refused: others' sessions are not for whoever can connect.
 *
 * Threads: the loop's. What blocks is on the executor's.
 */
#ifndef BRIG_SERVER_SESSIONS_SERVICE_H
#define BRIG_SERVER_SESSIONS_SERVICE_H

#include <brig/session.h>
#include <event2/event.h>
#include <sys/queue.h>
#include "rpc/rpc.h"
#include "server/enforcement.h"
#include "server/executor.h"
#include "server/log.h"
#include "server/metrics.h"

struct sessions_job;

struct sessions_service {
  /* What it needs, all of the server's. */
  struct event_base *base;
  struct rpc_server *rpc;
  struct executor *executor;
  struct enforcement *enforcement;
  struct metrics *metrics;
  struct log *log;
  struct brig_sessions *sessions; /* NULL: the server still starts */
  /* Its own: calls that are not answered, or whose thread works. */
  LIST_HEAD(, sessions_job) jobs;
};

#define SESSIONS_METHODS 7

/* Its methods, with the service as their context. */
void brig__sessions_methods(struct sessions_service *service,
                            struct rpc_method methods[SESSIONS_METHODS]);
/* End all there are, as unavailable. Their threads end soon after: turns are cancelled. */
void brig__sessions_cancel_all(struct sessions_service *service);

#endif
