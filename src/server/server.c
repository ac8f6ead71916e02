#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "server/notify.h"
#include "server/server_internal.h"

#define FIRST_PASSED_FD 3 /* sd_listen_fds(3) */

#define HANDSHAKE_US UINT64_C(10000000)
#define IDLE_US      UINT64_C(300000000)
#define PARTS_MAX    UINT64_C(100000)

int brig__server_no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "serve", "out of memory");
}

/* --- What the transport asks and tells ---------------------------------------------------- */

/* Whoever asks whether it serves is no client yet. */
static bool is_probe(const struct rpc_method *method) {
  return strcmp(method->service, "grpc.health.v1.Health") == 0;
}

static enum rpc_status admit(void *context, const struct rpc_peer *peer,
                             const struct rpc_method *method, void **ret_caller,
                             const char **ret_message) {
  struct server *server = context;
  const struct caller *caller = NULL;
  enum rpc_status status = brig__tenants_admit(server->tenants, peer, &caller, ret_message);
  if (status != RPC_OK) return is_probe(method) ? RPC_OK : status;
  *ret_caller = (void *)(uintptr_t)caller;
  return RPC_OK;
}

static void ended(void *context, const struct rpc_call *call, enum rpc_status status) {
  struct server *server = context;
  const struct rpc_method *method = brig__rpc_call_method(call);
  const struct caller *caller = brig__rpc_call_caller(call);
  uint64_t time_us = brig__now_us() - brig__rpc_call_begun_us(call);
  brig__metrics_add(server->metrics, METRIC_grpc_requests, 1, method->name,
                    brig__rpc_status_name(status));
  brig__metrics_observe(server->metrics, METRIC_grpc_request_duration, (double)time_us / 1e6,
                        method->name);
  LOG(server->log, is_probe(method) ? LOG_DEBUG : LOG_INFO, "call",
      LOG_TEXT("method", method->name), LOG_TEXT("status", brig__rpc_status_name(status)),
      LOG_TEXT("peer", brig__rpc_call_peer(call)->address),
      LOG_TEXT("tenant", caller == NULL ? NULL : caller->tenant), LOG_COUNT("time_us", time_us));
}

static void noted(void *context, const char *event, const char *address, const char *text) {
  struct server *server = context;
  LOG(server->log, LOG_DEBUG, event, LOG_TEXT("peer", address), LOG_TEXT("text", text));
}

static void refresh_metrics(void *context) {
  struct server *server = context;
  struct rpc_counts counts;
  if (server->agent.started)
    brig__metrics_read(server->metrics, server->tools.sandbox, server->tools.sessions);
  brig__rpc_counts(server->rpc, &counts);
  brig__metrics_set(server->metrics, METRIC_connections, counts.connections);
  brig__metrics_set(server->metrics, METRIC_connections_accepted, counts.accepted);
  brig__metrics_set(server->metrics, METRIC_connections_refused, counts.refused);
  brig__metrics_set(server->metrics, METRIC_calls, counts.calls);
  brig__metrics_set(server->metrics, METRIC_buffered_bytes, counts.buffered_bytes);
  brig__metrics_set(server->metrics, METRIC_received_bytes, counts.bytes_in);
  brig__metrics_set(server->metrics, METRIC_sent_bytes, counts.bytes_out);
}

/* --- Its beginning -------------------------------------------------------------------------- */

void brig__server_set_serving(struct server *server, bool serving) {
  server->agent.healthy = serving;
  if (server->http != NULL) brig__metrics_http_set_ready(server->http, serving);
  if (brig__rpc_health_set(server->health, "", serving) < 0 ||
      brig__rpc_health_set(server->health, server->methods[0].service, serving) < 0 ||
      brig__rpc_health_set(server->health, server->methods[AGENT_METHODS].service, serving) < 0)
    LOG(server->log, LOG_ERROR, "health", LOG_TEXT("error", "out of memory"));
}

static void note_all(struct server *server) {
  const char *notice;
  for (unsigned i = 0; (notice = brig_config_notice(server->config, i)) != NULL; i++)
    LOG(server->log, LOG_WARNING, "configuration", LOG_TEXT("text", notice));
  for (unsigned i = 0; (notice = brig_sandbox_notice(server->tools.sandbox, i)) != NULL; i++)
    LOG(server->log, LOG_WARNING, "sandbox", LOG_TEXT("text", notice));
}

/* A whole execution, through all walls: what is told to be serving has served. It also has
 * the interpreter compiled, if it is not yet, and its template for sessions started. */
static int try_python(struct server *server, struct brig_error *err) {
  struct brig_python_call call = BRIG_PYTHON_CALL_INIT;
  struct brig_python_result *result = NULL;
  call.code = "None";
  int rc = brig_python_execute(server->tools.python, &call, &result, err);
  if (rc == 0 && (rc = result->failure.code) != 0) *err = result->failure;
  brig_python_result_free(result);
  return rc;
}

/* Without the interpreter the server still runs modules of its clients'. */
static int find_python(struct server *server, struct brig_error *err) {
  const char *name = server->settings->python_executor_guest;
  struct tool_setting *tools = &server->tools;
  struct brig_error missing;
  int rc =
      brig_python_executor_open(tools->sessions, server->config, name, &tools->python, &missing);
  if (rc < 0) {
    LOG(server->log, LOG_WARNING, "python_executor", LOG_TEXT("error", missing.message));
    return 0;
  }
  rc = brig__guest_find(server->guests_directory, name, GUEST_ANY, &tools->python_guest, err);
  return rc < 0 ? rc : try_python(server, err);
}

static void on_started(void *context) {
  struct server *server = context;
  if (server->failure.code != 0) {
    event_base_loopbreak(server->base);
    return;
  }
  server->agent.started = true;
  server->sessions.sessions = server->tools.sessions;
  note_all(server);
  if (server->draining) return;
  brig__server_set_serving(server, true);
  brig__notify("READY=1");
  LOG(server->log, LOG_INFO, "serving",
      LOG_COUNT("start_us", brig__now_us() - server->agent.started_us));
}

/* On a thread: templates are warmed, and the interpreter may have to be compiled. */
static void start(void *context) {
  struct server *server = context;
  struct tool_setting *tools = &server->tools;
  int rc = brig_sandbox_open(server->config, &tools->sandbox, &server->failure);
  if (rc == 0)
    rc = brig_sessions_open(tools->sandbox, server->config, &tools->sessions, &server->failure);
  if (rc == 0) find_python(server, &server->failure);
  while (brig__rpc_post(server->rpc, on_started, server) < 0) usleep(10000);
}

static const char *or_null(const char *text) { return text[0] == '\0' ? NULL : text; }

static int open_rpc(struct server *server, struct brig_error *err) {
  const struct brig_settings *settings = server->settings;
  const struct rpc_settings wanted = {
      .methods = server->methods,
      .method_count = settings->server_reflection
                          ? sizeof server->methods / sizeof *server->methods
                          : OWN_METHODS,
      .max_request_bytes = settings->server_max_request_bytes,
      .max_parts = PARTS_MAX,
      .max_connections = settings->server_max_connections,
      .max_calls_per_connection = settings->server_max_calls_per_connection,
      .max_buffered_bytes = settings->server_max_buffered_bytes,
      .handshake_us = HANDSHAKE_US,
      .idle_us = IDLE_US,
      .tls_certificate = or_null(settings->server_tls_certificate),
      .tls_key = or_null(settings->server_tls_key),
      .tls_client_ca = or_null(settings->server_tls_client_ca),
      .admit = admit,
      .ended = ended,
      .noted = noted,
      .context = server,
  };
  if ((wanted.tls_certificate == NULL) != (wanted.tls_key == NULL) ||
      (wanted.tls_client_ca != NULL && wanted.tls_certificate == NULL))
    return brig__fail(err, BRIG_E_CONFIG, "serve",
                      "server.tls_certificate and server.tls_key go together, and "
                      "server.tls_client_ca needs both");
  brig__agent_methods(&server->agent, server->methods);
  brig__sessions_methods(&server->sessions, server->methods + AGENT_METHODS);
  brig__sandbox_methods(&server->sandbox, server->methods + AGENT_METHODS + SESSIONS_METHODS);
  brig__rpc_health_methods(server->health, server->methods + AGENT_METHODS + SESSIONS_METHODS +
                                               SANDBOX_METHODS);
  memcpy(server->methods + OWN_METHODS, brig__rpc_reflection_methods,
         sizeof brig__rpc_reflection_methods);
  return brig__rpc_open(server->base, &wanted, &server->rpc, err);
}

static int listen_passed(struct server *server, int count, struct brig_error *err) {
  int rc = 0;
  for (int i = 0; i < count && rc == 0; i++)
    rc = brig__rpc_listen(
        server->rpc, &(struct rpc_listener){.fd = FIRST_PASSED_FD + i, .from_fd = true}, err);
  return rc;
}

static int make_directory_of(const char *path, struct brig_error *err) {
  CLEANUP_FREE char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));
  int rc = directory == NULL ? -ENOMEM : directory[0] == '\0' ? 0 : brig__mkdir_p(directory);
  return rc < 0 ? brig__fail_errno(err, -rc, "serve", "the directory of %s", path) : 0;
}

/* Another server may have the usual socket, or it cannot be there: that is no reason not to
 * serve, as long as nobody has asked for it. */
static int listen_socket(struct server *server, bool alone, struct brig_error *err) {
  bool usual = server->settings->server_socket[0] == '\0';
  CLEANUP_FREE char *path = NULL;
  int rc = brig__config_socket(server->config, &path, err);
  if (rc == 0 && path == NULL) return 0;
  if (rc == 0 && usual) rc = make_directory_of(path, err);
  if (rc == 0) rc = brig__rpc_listen(server->rpc, &(struct rpc_listener){.path = path}, err);
  if (rc == 0 || !usual || alone) return rc;
  LOG(server->log, LOG_WARNING, "socket", LOG_TEXT("error", err->message));
  return 0;
}

static int listen_all(struct server *server, struct brig_error *err) {
  const char *address = or_null(server->settings->server_listen);
  int passed = brig__notify_listen_fds(), rc = 0;
  if (passed > 0) return listen_passed(server, passed, err);
  if (address == NULL && strcmp(server->settings->server_socket, "none") == 0)
    return brig__fail(err, BRIG_E_CONFIG, "serve",
                      "server.listen is empty and server.socket is none: nobody could call");
  if (address != NULL)
    rc = brig__rpc_listen(server->rpc, &(struct rpc_listener){.address = address}, err);
  return rc < 0 ? rc : listen_socket(server, address == NULL, err);
}

static int open_http(struct server *server, struct brig_error *err) {
  const struct metrics_http_settings wanted = {.address = server->settings->metrics_address,
                                               .port = (uint16_t)server->settings->metrics_port,
                                               .metrics = server->metrics,
                                               .refresh = refresh_metrics,
                                               .context = server};
  return wanted.port == 0 ? 0 : brig__metrics_http_open(server->base, &wanted, &server->http, err);
}

/* The sandbox's own queue is the only one, and holds the server to its number. */
static int limit_executions(struct server *server, struct brig_error *err) {
  uint64_t most = server->settings->tools_max_concurrent_executions;
  char text[24];
  if (most == 0 || most >= server->settings->pool_max_workers) return 0;
  snprintf(text, sizeof text, "%llu", (unsigned long long)most);
  return brig_config_set(server->config, "pool.max_workers", text, err);
}

static int load(struct server *server, struct brig_error *err) {
  int rc = server->source->load(server->source->context, &server->config, err);
  if (rc < 0) return rc;
  server->settings = brig__config_settings(server->config);
  rc = limit_executions(server, err);
  if (rc == 0) rc = brig__config_guests_directory(server->config, &server->guests_directory, err);
  return rc < 0 ? rc
                : brig__log_open(server->settings->log_file, server->settings->log_level,
                                 &server->log, err);
}

static int open_parts(struct server *server, struct brig_error *err) {
  const struct brig_settings *settings = server->settings;
  /* Those who wait have a thread, too. */
  size_t threads =
      settings->pool_max_workers + settings->pool_queue_length + SANDBOX_RUNNING_MAX + 1;
  server->metrics = brig__metrics_new();
  server->health = brig__rpc_health_new();
  if (server->metrics == NULL || server->health == NULL) return brig__server_no_memory(err);
  int rc = brig__enforcement_open(settings, server->metrics, &server->enforcement, err);
  if (rc == 0) rc = brig__tenants_open(settings->server_tokens_file, &server->tenants, err);
  if (rc == 0) rc = brig__executor_open(threads, &server->executor, err);
  if (rc == 0) rc = open_rpc(server, err);
  if (rc == 0) rc = open_http(server, err);
  if (rc == 0) rc = listen_all(server, err);
  return rc;
}

static void connect_parts(struct server *server) {
  server->tools.settings = server->settings;
  server->tools.guests_directory = server->guests_directory;
  server->agent.base = server->base;
  server->agent.rpc = server->rpc;
  server->agent.executor = server->executor;
  server->agent.enforcement = server->enforcement;
  server->agent.metrics = server->metrics;
  server->agent.log = server->log;
  server->agent.setting = &server->tools;
  server->agent.max_executions = server->settings->pool_max_workers;
  server->agent.started_us = brig__now_us();
  server->sessions.base = server->base;
  server->sessions.rpc = server->rpc;
  server->sessions.executor = server->executor;
  server->sessions.enforcement = server->enforcement;
  server->sessions.metrics = server->metrics;
  server->sessions.log = server->log;
  server->sandbox.rpc = server->rpc;
  server->sandbox.executor = server->executor;
  server->sandbox.enforcement = server->enforcement;
  server->sandbox.log = server->log;
  server->sandbox.setting = &server->tools;
  server->sandbox.started = &server->agent.started;
}

/* --- Its life -------------------------------------------------------------------------------- */

int brig__server_open(const struct server_source *source, struct server **ret_server,
                      struct brig_error *err) {
  struct server *server = calloc(1, sizeof *server);
  if (server == NULL) return brig__server_no_memory(err);
  server->source = source;
  server->base = event_base_new();
  int rc = server->base == NULL ? brig__server_no_memory(err) : load(server, err);
  if (rc == 0) rc = brig__server_catch_signals(server, err);
  if (rc == 0) rc = open_parts(server, err);
  if (rc == 0) {
    connect_parts(server);
    *ret_server = server;
  } else {
    brig__server_close(server);
  }
  return rc;
}

static bool is_open_to_all(const struct brig_settings *settings) {
  return settings->server_tokens_file[0] == '\0' && settings->server_tls_client_ca[0] == '\0' &&
         settings->server_listen[0] != '\0' && strncmp(settings->server_listen, "127.", 4) != 0 &&
         strncmp(settings->server_listen, "[::1]", 5) != 0;
}

int brig__server_run(struct server *server, struct brig_error *err) {
  LOG(server->log, LOG_INFO, "starting", LOG_TEXT("version", brig_version()),
      LOG_TEXT("address", brig__rpc_address(server->rpc, 0)));
  if (is_open_to_all(server->settings))
    LOG(server->log, LOG_WARNING, "open",
        LOG_TEXT("text", "who reaches server.listen may run programs: see server.tokens_file"));
  brig__server_set_serving(server, false);
  if (brig__executor_run(server->executor, start, server) < 0)
    return brig__fail(err, BRIG_E_SYSTEM, "serve", "no thread could be started");
  event_base_dispatch(server->base);
  /* The thread that starts it cannot be told to stop; its processes end with this one. */
  if (!server->agent.started && server->failure.code == 0) _exit(0);
  if (server->failure.code != 0) {
    if (err != NULL) *err = server->failure;
    return server->failure.code;
  }
  LOG(server->log, LOG_INFO, "ended");
  return 0;
}

void brig__server_close(struct server *server) {
  if (server == NULL) return;
  brig__executor_close(server->executor);
  brig__rpc_close(server->rpc);
  brig__rpc_health_free(server->health);
  brig__metrics_http_close(server->http);
  brig_python_executor_close(server->tools.python);
  brig_sessions_close(server->tools.sessions);
  brig_sandbox_close(server->tools.sandbox);
  brig__tenants_close(server->tenants);
  brig__enforcement_close(server->enforcement);
  brig__metrics_free(server->metrics);
  for (size_t i = 0; i < SIGNALS; i++)
    if (server->signals[i] != NULL) event_free(server->signals[i]);
  if (server->grace != NULL) event_free(server->grace);
  brig__watch_end(&server->watch);
  if (server->base != NULL) event_base_free(server->base);
  brig__log_close(server->log);
  free(server->guests_directory);
  brig_config_free(server->config);
  free(server);
}
