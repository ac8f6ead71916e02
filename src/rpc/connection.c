#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "rpc/internal.h"

/* What a connection holds of frames that are made: the rest waits in calls, where it is
 * seen (brig__rpc_unsent). */
#define OUTPUT_BYTES (64u << 10)
#define OUTPUT_LOW   (16u << 10)
/* Then no more of it is read, once so many frames wait for room. */
#define QUEUE_MAX 1000

/* How long one that is over waits for its client to close it, too. */
#define LINGER_US UINT64_C(1000000)

#define KEEPALIVE_S 60 /* and as long again until it is given up */

static void count(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *context) {
  struct rpc_connection *connection = context;
  (void)buffer;
  connection->buffered += info->n_added - info->n_deleted;
  connection->server->counts.buffered_bytes += info->n_added - info->n_deleted;
}

struct evbuffer *brig__rpc_buffer_new(struct rpc_connection *connection) {
  struct evbuffer *buffer = evbuffer_new();
  if (buffer != NULL && evbuffer_add_cb(buffer, count, connection) != NULL) return buffer;
  if (buffer != NULL) evbuffer_free(buffer);
  return NULL;
}

void brig__rpc_buffer_free(struct evbuffer *buffer) {
  if (buffer == NULL) return;
  evbuffer_drain(buffer, evbuffer_get_length(buffer));
  evbuffer_free(buffer);
}

void brig__rpc_connection_flush(struct rpc_connection *connection) {
  struct rpc_server *server = connection->server;
  if (connection->socket == NULL || connection->to_flush) return;
  connection->to_flush = true;
  LIST_INSERT_HEAD(&server->to_flush, connection, flush_link);
  event_active(&server->flush, EV_TIMEOUT, 0);
}

void brig__rpc_connection_release(struct rpc_connection *connection) {
  struct rpc_server *server = connection->server;
  if (connection->socket != NULL || connection->call_count > 0) return;
  free(connection->certificate);
  free(connection);
  server->connections_kept--;
  brig__rpc_server_less(server);
}

static void free_socket(struct rpc_connection *connection) {
  struct bufferevent *socket = STEAL_PTR(connection->socket);
  SSL *ssl = bufferevent_openssl_get_ssl(socket);
  if (ssl != NULL) SSL_shutdown(ssl); /* says goodbye if there is room */
  ERR_clear_error();
  evbuffer_remove_cb(bufferevent_get_input(socket), count, connection);
  evbuffer_remove_cb(bufferevent_get_output(socket), count, connection);
  bufferevent_free(socket);
}

static void close_calls(struct rpc_connection *connection) {
  struct rpc_call *call;
  while ((call = LIST_FIRST(&connection->calls)) != NULL) brig__rpc_call_closed(call);
}

void brig__rpc_connection_close(struct rpc_connection *connection) {
  struct rpc_server *server = connection->server;
  if (connection->socket == NULL) return;
  LIST_REMOVE(connection, link);
  event_del(&connection->timer);
  if (connection->to_flush) LIST_REMOVE(connection, flush_link);
  connection->to_flush = false;
  free_socket(connection);
  nghttp2_session_del(STEAL_PTR(connection->session));
  connection->call_count++; /* or it would go with the last of them */
  close_calls(connection);
  connection->call_count--;
  server->counts.buffered_bytes -= connection->buffered; /* what the socket held */
  server->counts.connections--;
  brig__rpc_connection_release(connection);
}

/* GOAWAY, and the end once that is sent, or is not taken. */
static void end(struct rpc_connection *connection, const char *event, const char *text) {
  const struct rpc_server *server = connection->server;
  brig__rpc_note(server, event, connection->address, text);
  if (!connection->greeted || connection->ending) {
    brig__rpc_connection_close(connection);
    return;
  }
  connection->ending = true;
  nghttp2_session_terminate_session(connection->session, NGHTTP2_NO_ERROR);
  brig__rpc_connection_wait(connection, "it does not take its end", server->settings.handshake_us);
  brig__rpc_connection_flush(connection);
}

static void on_timer(evutil_socket_t fd, short what, void *context) {
  struct rpc_connection *connection = context;
  (void)fd, (void)what;
  end(connection, "timeout", connection->waits_for);
}

void brig__rpc_connection_wait(struct rpc_connection *connection, const char *text, uint64_t us) {
  connection->waits_for = text;
  brig__rpc_timer_set(&connection->timer, us);
}

void brig__rpc_connection_quiet(struct rpc_connection *connection) {
  const struct rpc_settings *settings = &connection->server->settings;
  if (connection->ending) return;
  if (LIST_EMPTY(&connection->calls))
    brig__rpc_connection_wait(connection, "no call", settings->idle_us);
  else
    brig__rpc_timer_set(&connection->timer, 0);
}

/* Frames of the session's, as many as there is room for. 0: that is all; 1: there may be
 * more; or -1. */
static int fill(struct rpc_connection *connection) {
  struct evbuffer *output = bufferevent_get_output(connection->socket);
  while (evbuffer_get_length(output) < OUTPUT_BYTES) {
    const uint8_t *data;
    ssize_t size = nghttp2_session_mem_send(connection->session, &data);
    if (size == 0) return 0;
    if (size < 0 || evbuffer_add(output, data, (size_t)size) < 0) return -1;
    connection->server->counts.bytes_out += (uint64_t)size;
  }
  return 1;
}

/* To a plain socket at once: libevent would ask first when it can be written to. It does
 * so for what is left, as for all that TLS has, and between the parts of much, so that
 * others are heard. */
static int write_frames(struct rpc_connection *connection) {
  struct bufferevent *socket = connection->socket;
  struct evbuffer *output = bufferevent_get_output(socket);
  int more = fill(connection);
  if (more < 0 || bufferevent_openssl_get_ssl(socket) != NULL) return more;
  evbuffer_unfreeze(output, 1);
  evbuffer_write(output, bufferevent_getfd(socket));
  evbuffer_freeze(output, 1);
  if (more) more = fill(connection);
  if (evbuffer_get_length(output) > 0)
    bufferevent_enable(socket, EV_WRITE);
  else
    bufferevent_disable(socket, EV_WRITE);
  return more;
}

/* All is said. What its client still sends would be answered with a reset, by which it may
 * lose what is on its way there: so it is read, and closed when the client does. */
static void linger(struct rpc_connection *connection) {
  struct bufferevent *socket = connection->socket;
  if (bufferevent_openssl_get_ssl(socket) != NULL ||
      shutdown(bufferevent_getfd(socket), SHUT_WR) < 0) {
    brig__rpc_connection_close(connection);
    return;
  }
  connection->ending = connection->lingers = true;
  close_calls(connection);
  brig__rpc_connection_wait(connection, "it is not closed", LINGER_US);
  bufferevent_enable(socket, EV_READ);
}

/* Send what can be sent, and decide what comes next. May close it. */
static void pump(struct rpc_connection *connection) {
  struct bufferevent *socket = connection->socket;
  nghttp2_session *session = connection->session;
  if (connection->lingers) return;
  if (write_frames(connection) < 0) {
    brig__rpc_connection_close(connection);
    return;
  }
  size_t unsent = evbuffer_get_length(bufferevent_get_output(socket));
  if (unsent == 0 && !nghttp2_session_want_read(session) && !nghttp2_session_want_write(session))
    linger(connection);
  else if (unsent < OUTPUT_BYTES || nghttp2_session_get_outbound_queue_size(session) < QUEUE_MAX)
    bufferevent_enable(socket, EV_READ);
  else
    bufferevent_disable(socket, EV_READ);
}

void brig__rpc_flush_all(struct rpc_server *server) {
  struct rpc_connection *connection;
  while ((connection = LIST_FIRST(&server->to_flush)) != NULL) {
    LIST_REMOVE(connection, flush_link);
    connection->to_flush = false;
    pump(connection);
  }
}

/* All that was read to nghttp2, which calls back. False: no HTTP/2, or an attack. */
static bool feed(struct rpc_connection *connection) {
  struct evbuffer *input = bufferevent_get_input(connection->socket);
  size_t size;
  while ((size = evbuffer_get_contiguous_space(input)) > 0) {
    ssize_t taken = nghttp2_session_mem_recv(connection->session,
                                             evbuffer_pullup(input, (ev_ssize_t)size), size);
    if (taken < 0) {
      brig__rpc_note(connection->server, "protocol", connection->address,
                     nghttp2_strerror((int)taken));
      return false;
    }
    connection->server->counts.bytes_in += size;
    evbuffer_drain(input, size);
  }
  return true;
}

static void on_read(struct bufferevent *socket, void *context) {
  struct rpc_connection *connection = context;
  if (connection->lingers)
    evbuffer_drain(bufferevent_get_input(socket), SIZE_MAX);
  else if (feed(connection))
    pump(connection);
  else
    brig__rpc_connection_close(connection);
}

static void on_written(struct bufferevent *socket, void *context) {
  (void)socket;
  pump(context);
}

/* The handshake is done: who is it? */
static void on_secure(struct rpc_connection *connection, const SSL *ssl) {
  if (brig__rpc_tls_is_h2(ssl)) {
    connection->peer.certificate = connection->certificate = brig__rpc_tls_subject(ssl);
    return;
  }
  brig__rpc_note(connection->server, "tls", connection->address, "its client does not ask for h2");
  brig__rpc_connection_close(connection);
}

static void on_event(struct bufferevent *socket, short what, void *context) {
  struct rpc_connection *connection = context;
  SSL *ssl = bufferevent_openssl_get_ssl(socket);
  unsigned long error = ssl != NULL ? bufferevent_get_openssl_error(socket) : 0;
  if (what & BEV_EVENT_CONNECTED) {
    on_secure(connection, ssl);
    return;
  }
  if (what & BEV_EVENT_TIMEOUT)
    brig__rpc_note(connection->server, "timeout", connection->address, "it does not read");
  else if (error != 0) {
    const char *reason = ERR_reason_error_string(error);
    brig__rpc_note(connection->server, "tls", connection->address,
                   reason != NULL ? reason : "unknown error");
  }
  brig__rpc_connection_close(connection);
}

static struct bufferevent *wrap(struct rpc_server *server, int fd, bool plain) {
  if (plain || server->tls == NULL)
    return bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
  SSL *ssl = SSL_new(server->tls);
  if (ssl == NULL) return NULL;
  struct bufferevent *socket = bufferevent_openssl_socket_new(
      server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
  if (socket == NULL) SSL_free(ssl);
  return socket;
}

/* Answers leave at once, and a client whose machine is gone is noticed. */
static void tune(int fd) {
  static const struct {
    int level, name, value;
  } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                 {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S},
                 {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S / 6},
                 {IPPROTO_TCP, TCP_KEEPCNT, 6},
                 {SOL_SOCKET, SO_KEEPALIVE, 1}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static void learn_peer(struct rpc_connection *connection, int fd, const struct sockaddr *address,
                       socklen_t size) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  brig__rpc_format_address(address, size, connection->address);
  connection->peer.address = connection->address;
  if (address->sa_family != AF_UNIX) {
    tune(fd);
  } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0) {
    connection->peer.local = true;
    connection->peer.uid = credentials.uid;
    connection->peer.pid = credentials.pid;
  }
}

static struct rpc_connection *connection_new(struct rpc_server *server) {
  struct rpc_connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) return NULL;
  connection->server = server;
  evtimer_assign(&connection->timer, server->base, on_timer, connection);
  if (brig__rpc_http2_session(connection) == 0) return connection;
  free(connection);
  return NULL;
}

static void start(struct rpc_connection *connection) {
  const struct rpc_settings *settings = &connection->server->settings;
  struct bufferevent *socket = connection->socket;
  struct timeval stall = {.tv_sec = (time_t)(settings->idle_us / 1000000),
                          .tv_usec = (suseconds_t)(settings->idle_us % 1000000)};
  evbuffer_add_cb(bufferevent_get_input(socket), count, connection);
  evbuffer_add_cb(bufferevent_get_output(socket), count, connection);
  bufferevent_setcb(socket, on_read, on_written, on_event, connection);
  bufferevent_setwatermark(socket, EV_WRITE, OUTPUT_LOW, 0);
  if (settings->idle_us > 0) bufferevent_set_timeouts(socket, NULL, &stall);
  bufferevent_enable(socket, EV_READ | EV_WRITE);
  brig__rpc_connection_wait(connection, "no handshake", settings->handshake_us);
  brig__rpc_connection_flush(connection);
}

void brig__rpc_connection_open(struct rpc_bound *bound, int fd, const struct sockaddr *address,
                               socklen_t size) {
  struct rpc_server *server = bound->server;
  bool full = server->counts.connections >= server->settings.max_connections;
  struct rpc_connection *connection = full ? NULL : connection_new(server);
  struct bufferevent *socket = connection == NULL ? NULL : wrap(server, fd, bound->plain);
  if (socket == NULL) {
    char text[ADDRESS_BYTES];
    brig__rpc_format_address(address, size, text);
    brig__rpc_note(server, "refused", text, full ? "too many connections" : "out of memory");
    server->counts.refused++;
    if (connection != NULL) nghttp2_session_del(connection->session);
    free(connection);
    close(fd);
    return;
  }
  connection->socket = socket;
  LIST_INSERT_HEAD(&server->connections, connection, link);
  server->connections_kept++;
  server->counts.connections++;
  server->counts.accepted++;
  learn_peer(connection, fd, address, size);
  brig__rpc_note(server, "connection", connection->address, "");
  start(connection);
}

void brig__rpc_connection_drain(struct rpc_connection *connection) {
  if (connection->ending) return;
  if (!connection->greeted) {
    brig__rpc_connection_close(connection);
    return;
  }
  nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(connection->session),
                        NGHTTP2_NO_ERROR, NULL, 0);
  brig__rpc_connection_flush(connection);
}
