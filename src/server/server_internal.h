/* server/server_internal.h - shared by server.c and signals.c. */
#ifndef BRIG_SERVER_SERVER_INTERNAL_H
#define BRIG_SERVER_SERVER_INTERNAL_H

#include <event2/event.h>
#include "rpc/health.h"
#include "rpc/reflection.h"
#include "server/agent_service.h"
#include "server/metrics_http.h"
#include "server/sandbox_service.h"
#include "server/server.h"
#include "server/sessions_service.h"
#include "server/tenants.h"
#include "server/watch.h"

enum { SIGNALS = 3 };

/* All but reflection's, which may be left out. */
#define OWN_METHODS (AGENT_METHODS + SESSIONS_METHODS + SANDBOX_METHODS + RPC_HEALTH_METHODS)

struct server {
  const struct server_source *source;
  struct brig_config *config;
  const struct brig_settings *settings;
  char *guests_directory;
  struct event_base *base;
  struct event *signals[SIGNALS], *grace;
  struct watch watch;
  struct log *log;
  struct metrics *metrics;
  struct metrics_http *http;
  struct enforcement *enforcement;
  struct tenants *tenants;
  struct executor *executor;
  struct rpc_server *rpc;
  struct rpc_health *health;
  struct rpc_method methods[OWN_METHODS + RPC_REFLECTION_METHODS];
  struct tool_setting tools;
  struct agent_service agent;
  struct sessions_service sessions;
  struct sandbox_service sandbox;
  struct brig_error failure; /* of opening the sandbox */
  bool draining, hurried; /* hurried: the grace is over */
};

/* signals.c: SIGTERM, SIGINT and SIGHUP are the server's from then on. */
int brig__server_catch_signals(struct server *server, struct brig_error *err);

/* server.c */
void brig__server_set_serving(struct server *server, bool serving);
int brig__server_no_memory(struct brig_error *err);

#endif
