#include <stdlib.h>
#include "base/error.h"
#include "rpc/internal.h"

void brig__rpc_note(const struct rpc_server *server, const char *event, const char *address,
                    const char *text) {
  if (server->settings.noted != NULL)
    server->settings.noted(server->settings.context, event, address, text);
}

void brig__rpc_timer_set(struct event *timer, uint64_t us) {
  struct timeval time = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
  if (us == 0)
    event_del(timer);
  else
    event_add(timer, &time);
}

static void server_free(struct rpc_server *server) {
  brig__rpc_listeners_free(server);
  brig__posts_close(server->posts);
  event_del(&server->flush);
  brig__rpc_http2_close(server);
  SSL_CTX_free(server->tls);
  free(server);
}

static bool is_drained(const struct rpc_server *server) {
  return server->draining && server->counts.calls == 0 && server->counts.connections == 0;
}

static void on_flush(evutil_socket_t fd, short what, void *context) {
  struct rpc_server *server = context;
  (void)fd, (void)what;
  brig__rpc_flush_all(server);
  if (server->drained == NULL || !is_drained(server)) return;
  void (*drained)(void *context) = server->drained;
  server->drained = NULL;
  drained(server->drained_context); /* which may close the server */
}

void brig__rpc_server_less(struct rpc_server *server) {
  if (server->closed && server->connections_kept == 0)
    server_free(server);
  else if (is_drained(server))
    event_active(&server->flush, EV_TIMEOUT, 0);
}

static int open_parts(struct rpc_server *server, struct brig_error *err) {
  int rc = brig__rpc_http2_open(server, err);
  if (rc == 0 && server->settings.tls_certificate != NULL)
    rc = brig__rpc_tls_open(&server->settings, &server->tls, err);
  return rc < 0 ? rc : brig__posts_open(server->base, &server->posts, err);
}

int brig__rpc_open(struct event_base *base, const struct rpc_settings *settings,
                   struct rpc_server **ret_server, struct brig_error *err) {
  struct rpc_server *server = calloc(1, sizeof *server);
  if (server == NULL) return brig__fail(err, BRIG_E_MEMORY, "rpc", "out of memory");
  server->base = base;
  server->settings = *settings;
  event_assign(&server->flush, base, -1, 0, on_flush, server);
  int rc = open_parts(server, err);
  if (rc < 0) {
    server_free(server);
    return rc;
  }
  *ret_server = server;
  return 0;
}

int brig__rpc_reload_tls(struct rpc_server *server, struct brig_error *err) {
  SSL_CTX *tls;
  if (server->settings.tls_certificate == NULL) return 0;
  int rc = brig__rpc_tls_open(&server->settings, &tls, err);
  if (rc < 0) return rc;
  SSL_CTX_free(server->tls); /* connections have references */
  server->tls = tls;
  return 0;
}

void brig__rpc_drain(struct rpc_server *server, void (*drained)(void *context), void *context) {
  struct rpc_connection *connection, *next;
  server->draining = true;
  server->drained = drained;
  server->drained_context = context;
  brig__rpc_listeners_stop(server);
  for (connection = LIST_FIRST(&server->connections); connection != NULL; connection = next) {
    next = LIST_NEXT(connection, link); /* one that has no call yet is closed */
    brig__rpc_connection_drain(connection);
  }
  event_active(&server->flush, EV_TIMEOUT, 0);
}

void brig__rpc_close(struct rpc_server *server) {
  struct rpc_connection *connection;
  if (server == NULL) return;
  brig__rpc_listeners_stop(server);
  server->drained = NULL;
  server->draining = true;
  brig__posts_run(server->posts); /* some calls end well yet */
  while ((connection = LIST_FIRST(&server->connections)) != NULL)
    brig__rpc_connection_close(connection);
  server->closed = true;
  brig__rpc_server_less(server);
}

void brig__rpc_counts(const struct rpc_server *server, struct rpc_counts *ret_counts) {
  *ret_counts = server->counts;
}

int brig__rpc_post(struct rpc_server *server, void (*run)(void *context), void *context) {
  return brig__posts_add(server->posts, run, context);
}
