/* What the operator tells a running server: to load its configuration again, by a signal or by
 * changing it, and to end. */
#include <signal.h>
#include "server/notify.h"
#include "server/server_internal.h"

/* After the grace: for statuses to go out, and threads to come back. */
#define LAST_MS 2000

static int reload_configuration(struct server *server, struct brig_error *err) {
  struct brig_config *fresh = NULL;
  int rc = server->source->load(server->source->context, &fresh, err);
  if (rc < 0) return rc;
  const struct brig_settings *settings = brig__config_settings(fresh);
  rc = brig__log_reload(server->log, settings->log_level, err);
  if (rc == 0) brig__enforcement_configure(server->enforcement, settings);
  brig_config_free(fresh);
  return rc;
}

static int reload_tenants(struct server *server, struct brig_error *err) {
  return brig__tenants_reload(server->tenants, err);
}

static int reload_certificates(struct server *server, struct brig_error *err) {
  if (server->settings->server_tls_certificate[0] == '\0') return 0;
  return brig__rpc_reload_tls(server->rpc, err);
}

/* Each by itself: one that is bad keeps none of the others from being new. */
static void reload(void *context) {
  struct server *server = context;
  static const struct {
    const char *what;
    int (*reload)(struct server *server, struct brig_error *err);
  } rows[] = {
      {"configuration", reload_configuration},
      {"tokens", reload_tenants},
      {"certificates", reload_certificates},
  };
  bool serving = server->agent.started && !server->draining;
  struct brig_error err;
  if (serving) brig__notify("RELOADING=1");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bool good = rows[i].reload(server, &err) == 0;
    LOG(server->log, good ? LOG_INFO : LOG_ERROR, "reload", LOG_TEXT("what", rows[i].what),
        LOG_TEXT("error", good ? NULL : err.message));
  }
  if (serving) brig__notify("READY=1");
}

static void end_loop(void *context) {
  struct server *server = context;
  event_base_loopbreak(server->base);
}

static void on_drained(void *context) {
  struct server *server = context;
  brig__agent_when_idle(&server->agent, end_loop, server);
}

static void wait_ms(struct server *server, uint64_t ms) {
  const struct timeval wait = {.tv_sec = (time_t)(ms / 1000),
                               .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
  event_add(server->grace, &wait);
}

/* The grace is over: what runs is ended. Then the time for that is. */
static void on_grace(evutil_socket_t fd, short what, void *context) {
  struct server *server = context;
  (void)fd;
  (void)what;
  if (server->hurried) {
    brig__agent_when_idle(&server->agent, end_loop, server);
    return;
  }
  server->hurried = true;
  LOG(server->log, LOG_WARNING, "grace_over", LOG_COUNT("calls", server->agent.job_count));
  brig__agent_cancel_all(&server->agent);
  brig__sessions_cancel_all(&server->sessions);
  brig__sandbox_cancel_all(&server->sandbox);
  wait_ms(server, LAST_MS);
}

static void drain(struct server *server) {
  if (server->draining) {
    on_grace(-1, 0, server); /* told twice: at once */
    return;
  }
  server->draining = true;
  LOG(server->log, LOG_INFO, "draining", LOG_COUNT("calls", server->agent.job_count));
  brig__notify("STOPPING=1");
  brig__server_set_serving(server, false);
  brig__rpc_health_shut_down(server->health);
  wait_ms(server, server->settings->server_drain_grace_ms);
  brig__rpc_drain(server->rpc, on_drained, server);
}

static void on_signal(evutil_socket_t number, short what, void *context) {
  struct server *server = context;
  (void)what;
  if (number == SIGHUP)
    reload(server);
  else
    drain(server);
}

static int watch_files(struct server *server) {
  const struct brig_settings *settings = server->settings;
  const char *const paths[] = {server->source->file(server->source->context),
                               settings->server_tokens_file, settings->server_tls_certificate,
                               settings->server_tls_key, settings->server_tls_client_ca};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    brig__watch_add(&server->watch, paths[i]);
  return brig__watch_begin(&server->watch, server->base, reload, server);
}

int brig__server_catch_signals(struct server *server, struct brig_error *err) {
  static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
  signal(SIGPIPE, SIG_IGN);
  server->grace = evtimer_new(server->base, on_grace, server);
  if (server->grace == NULL) return brig__server_no_memory(err);
  for (size_t i = 0; i < SIGNALS; i++) {
    server->signals[i] = evsignal_new(server->base, numbers[i], on_signal, server);
    if (server->signals[i] == NULL || event_add(server->signals[i], NULL) < 0)
      return brig__server_no_memory(err);
  }
  return watch_files(server) < 0 ? brig__server_no_memory(err) : 0;
}
