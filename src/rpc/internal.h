/* rpc/internal.h - what the files of src/rpc know of each other.
 *
 * A server has connections, a connection has calls. A call is of two halves: its stream, and
 * its handler; it is freed when both are done with it. A connection's memory outlives its
 * socket while a call of it lives, so that calls find who their peer was, and that streams
 * which were reset count while their handlers work. A server outlives brig__rpc_close() in
 * the same way.
 */
#ifndef BRIG_RPC_INTERNAL_H
#define BRIG_RPC_INTERNAL_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include "rpc/post.h"
#include "rpc/rpc.h"

#define HEADER_BYTES  16384
#define ADDRESS_BYTES 128 /* a Unix socket's path has 107 at most */

struct rpc_bound {
  struct rpc_server *server;
  struct evconnlistener *listener;
  struct event again; /* after a pause, for want of descriptors */
  bool plain;
  char address[ADDRESS_BYTES];
  char *path; /* to be removed */
};

struct rpc_server {
  struct event_base *base;
  struct rpc_settings settings;
  SSL_CTX *tls; /* NULL: none */
  nghttp2_session_callbacks *callbacks;
  struct rpc_bound **listeners;
  size_t listener_count;
  LIST_HEAD(, rpc_connection) connections; /* that are open */
  size_t connections_kept;                 /* those too that only have calls yet */
  LIST_HEAD(, rpc_connection) to_flush;
  struct event flush;
  struct posts *posts;
  struct rpc_counts counts;
  bool draining, closed;
  void (*drained)(void *context);
  void *drained_context;
};

struct rpc_connection {
  LIST_ENTRY(rpc_connection) link, flush_link;
  struct rpc_server *server;
  struct bufferevent *socket; /* NULL: closed */
  nghttp2_session *session;
  LIST_HEAD(, rpc_call) calls; /* that have a stream */
  size_t call_count;           /* those too that only have a handler yet */
  struct event timer;
  const char *waits_for; /* and ends it */
  uint64_t buffered;
  bool greeted, ending, lingers, to_flush;
  struct rpc_peer peer;
  char address[ADDRESS_BYTES];
  char *certificate;
};

struct rpc_call {
  LIST_ENTRY(rpc_call) link;
  struct rpc_connection *connection;
  int32_t stream; /* 0: closed */
  const struct rpc_method *method;
  struct rpc_peer peer;
  char *authorization;
  void *caller;
  uint64_t begun_us, deadline_us;
  struct event deadline, stall;
  struct evbuffer *in, *out; /* NULL while there was nothing */
  size_t header_bytes;
  size_t next_bytes, kept_bytes; /* of the request now, and of those that handlers keep */
  bool post, grpc, bad_timeout, encoded, ambiguous; /* what its headers said */
  bool headers_done, half_closed;                   /* the client's side */
  bool replied, answered; /* ours: the response is begun; how it ends is known */
  bool moved;             /* some of `out` went since `stall` was set */
  bool handed;            /* the handler knows of it, and has not finished it */
  bool keeps_request, cancelled, reported;
  enum rpc_status status;
  char *message; /* encoded */
  void (*on_cancel)(struct rpc_call *call, void *context);
  void *on_cancel_context;
};

/* server.c */
void brig__rpc_note(const struct rpc_server *server, const char *event, const char *address,
                    const char *text);
/* A connection or call less: what waited for the last goes on. May free the server. */
void brig__rpc_server_less(struct rpc_server *server);
void brig__rpc_timer_set(struct event *timer, uint64_t us); /* 0: never */

/* listener.c */
void brig__rpc_format_address(const struct sockaddr *address, socklen_t size,
                              char ret_text[ADDRESS_BYTES]);
void brig__rpc_listeners_stop(struct rpc_server *server); /* no new connections */
void brig__rpc_listeners_free(struct rpc_server *server);

/* connection.c */
void brig__rpc_connection_open(struct rpc_bound *bound, int fd, const struct sockaddr *address,
                               socklen_t size);
/* Something was submitted to its session: it is sent once the loop comes to it. */
void brig__rpc_connection_flush(struct rpc_connection *connection);
void brig__rpc_flush_all(struct rpc_server *server);
/* End it once what `text` is about has not come within this time. 0 or NULL: no end. */
void brig__rpc_connection_wait(struct rpc_connection *connection, const char *text, uint64_t us);
/* No new streams; it closes after its last. */
void brig__rpc_connection_drain(struct rpc_connection *connection);
void brig__rpc_connection_close(struct rpc_connection *connection);
/* A call's headers are complete, or its stream is closed: is there one yet? */
void brig__rpc_connection_quiet(struct rpc_connection *connection);
/* A call less. */
void brig__rpc_connection_release(struct rpc_connection *connection);
/* A buffer whose bytes are counted. Free it empty or by brig__rpc_buffer_free(). */
struct evbuffer *brig__rpc_buffer_new(struct rpc_connection *connection);
void brig__rpc_buffer_free(struct evbuffer *buffer);

/* http2.c */
int brig__rpc_http2_open(struct rpc_server *server, struct brig_error *err);
void brig__rpc_http2_close(struct rpc_server *server);
int brig__rpc_http2_session(struct rpc_connection *connection);

/* call.c: what happens to a stream. */
struct rpc_call *brig__rpc_call_begin(struct rpc_connection *connection, int32_t stream);
void brig__rpc_call_header(struct rpc_call *call, const char *name, size_t name_size,
                           const char *value, size_t size);
void brig__rpc_call_headers_done(struct rpc_call *call);
void brig__rpc_call_data(struct rpc_call *call, const uint8_t *data, size_t size);
void brig__rpc_call_half_closed(struct rpc_call *call);
void brig__rpc_call_closed(struct rpc_call *call);
/* From now on something of it should move: what was begun is completed, what waits is taken. */
void brig__rpc_call_expect(struct rpc_call *call);
/* End it from our side, before its handler does, who is told. */
void brig__rpc_abort(struct rpc_call *call, enum rpc_status status, const char *message);

/* reply.c: the stream's other direction. */
void brig__rpc_refuse_http(struct rpc_call *call, const char *http_status);
/* What the client is told, if it was not told before. */
void brig__rpc_end(struct rpc_call *call, enum rpc_status status, const char *message);

/* tls.c */
int brig__rpc_tls_open(const struct rpc_settings *settings, SSL_CTX **ret_tls,
                       struct brig_error *err);
bool brig__rpc_tls_is_h2(const SSL *ssl);
char *brig__rpc_tls_subject(const SSL *ssl); /* of the client's certificate; NULL: none */

#endif
