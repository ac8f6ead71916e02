/* rpc/rpc.h - a gRPC server over HTTP/2, on an event loop of libevent's.
 *
 * Everything here is called on the loop's thread, and calls back on it; what takes long
 * is done elsewhere, and comes back by brig__rpc_post(). nghttp2 speaks HTTP/2, libevent holds
 * sockets, TLS and timers, protobuf-c reads messages; here is what makes them gRPC
 * (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), and the bounds that a hostile client meets.
 *
 * A message reaches a handler only if it is well-formed: nested no deeper than 100, of no
 * more parts than a bound, without bytes that are not UTF-8 in what its .proto calls a
 * string. Strings come as ProtobufCBinaryData, since they may hold 0 bytes, `data` being NULL
 * for the empty one; keys of maps as char *, without them.
 */
#ifndef BRIG_RPC_RPC_H
#define BRIG_RPC_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <brig/error.h>

struct event_base;

/* google.rpc.Code */
enum rpc_status {
  RPC_OK = 0,
  RPC_CANCELLED = 1,
  RPC_UNKNOWN = 2,
  RPC_INVALID_ARGUMENT = 3,
  RPC_DEADLINE_EXCEEDED = 4,
  RPC_NOT_FOUND = 5,
  RPC_ALREADY_EXISTS = 6,
  RPC_PERMISSION_DENIED = 7,
  RPC_RESOURCE_EXHAUSTED = 8,
  RPC_FAILED_PRECONDITION = 9,
  RPC_ABORTED = 10,
  RPC_OUT_OF_RANGE = 11,
  RPC_UNIMPLEMENTED = 12,
  RPC_INTERNAL = 13,
  RPC_UNAVAILABLE = 14,
  RPC_DATA_LOSS = 15,
  RPC_UNAUTHENTICATED = 16,
};
const char *brig__rpc_status_name(enum rpc_status status); /* "DEADLINE_EXCEEDED" */

struct rpc_server;

/* One call of a method. It lives until the handler has finished it, even where its client
 * is gone: what is sent to it then goes nowhere. */
struct rpc_call;

struct rpc_method {
  const char *service, *name; /* "shannon.agent.AgentService", "ExecuteTask" */
  const ProtobufCMessageDescriptor *request;
  bool client_streams; /* any number of requests, else exactly one */
  void *context;
  /* A request; freed after this returns, unless brig__rpc_keep_request() is called in it. */
  void (*message)(struct rpc_call *call, void *context, ProtobufCMessage *request);
  /* With client_streams: the last has come. May be NULL: then the call ends with OK. */
  void (*half_closed)(struct rpc_call *call, void *context);
};

/* Who calls, as the connection and its headers tell it. Valid while the call lives. */
struct rpc_peer {
  const char *address; /* "127.0.0.1:51234", "unix" */
  bool local;          /* over a Unix socket, with these credentials: */
  uid_t uid;
  pid_t pid;
  const char *certificate;   /* TLS: the subject of a client's verified certificate, or NULL */
  const char *authorization; /* the value of that header, or NULL */
};

struct rpc_listener {  /* exactly one of the three */
  const char *address; /* "127.0.0.1:50051", "[::]:50051" */
  const char *path;    /* of a Unix socket; mode 0600; one left behind is replaced */
  int fd;              /* of socket activation, if `from_fd` */
  bool from_fd;
  bool plain; /* no TLS on this one, whatever the settings say (Unix sockets never) */
};

struct rpc_settings {
  const struct rpc_method *methods;
  size_t method_count;
  uint64_t max_request_bytes; /* a message */
  uint64_t max_parts;         /* fields of a message, those of the messages in it counted */
  uint64_t max_connections;
  uint64_t max_calls_per_connection;
  uint64_t max_buffered_bytes; /* what connections hold, in and out, and handlers keep */
  uint64_t handshake_us;       /* for TLS and preface, and for a call's headers */
  /* How long a connection may be without a call, a request may take to come, and nothing
   * be taken of a reply. 0: for ever. */
  uint64_t idle_us;
  const char *tls_certificate, *tls_key; /* PEM files; NULL: no TLS */
  const char *tls_client_ca;             /* PEM file: clients must have a certificate of it */
  /* Asked before a call's message is read. RPC_OK, or the status and message (static) that
   * it ends with. NULL: all may call all. */
  enum rpc_status (*admit)(void *context, const struct rpc_peer *peer,
                           const struct rpc_method *method, void **ret_caller,
                           const char **ret_message);
  /* A call is over: for metrics and the log. `status` is what its client got, or would have.
   * Not called for a method that there is not. */
  void (*ended)(void *context, const struct rpc_call *call, enum rpc_status status);
  /* "connection", "refused", "protocol"...: for metrics and the log. `text` is ours, ASCII. */
  void (*noted)(void *context, const char *event, const char *address, const char *text);
  void *context;
};

/* Strings of settings and methods are borrowed until brig__rpc_close(). The process must
 * ignore SIGPIPE. */
int brig__rpc_open(struct event_base *base, const struct rpc_settings *settings,
                   struct rpc_server **ret_server, struct brig_error *err);
int brig__rpc_listen(struct rpc_server *server, const struct rpc_listener *listener,
                     struct brig_error *err);
/* Where it listens, "127.0.0.1:50051": of use where port 0 was asked for. */
const char *brig__rpc_address(const struct rpc_server *server, size_t listener);
/* New certificates for connections to come. On failure the old ones stay. */
int brig__rpc_reload_tls(struct rpc_server *server, struct brig_error *err);
/* Take no new connections and calls; those there are go on (GOAWAY). `drained` is called
 * once when the last has ended. */
void brig__rpc_drain(struct rpc_server *server, void (*drained)(void *context), void *context);
/* Drop everything; not within a handler. Calls that live are told that they are cancelled;
 * what they took is freed when the last of them is finished, and brig__rpc_post() works until
 * then. Accepts NULL. */
void brig__rpc_close(struct rpc_server *server);

struct rpc_counts {
  uint64_t connections, calls, buffered_bytes;     /* now */
  uint64_t bytes_in, bytes_out, accepted, refused; /* since the start */
};
void brig__rpc_counts(const struct rpc_server *server, struct rpc_counts *ret_counts);

/* In a handler. */
const struct rpc_method *brig__rpc_call_method(const struct rpc_call *call);
const struct rpc_peer *brig__rpc_call_peer(const struct rpc_call *call);
void *brig__rpc_call_caller(const struct rpc_call *call); /* what `admit` made of the peer */
uint64_t brig__rpc_call_begun_us(const struct rpc_call *call);
/* By brig__now_us(); UINT64_MAX: none. */
uint64_t brig__rpc_call_deadline_us(const struct rpc_call *call);
/* The request is the handler's, to be freed with protobuf_c_message_free_unpacked(). */
void brig__rpc_keep_request(struct rpc_call *call);
/* Called once if the client cancels, vanishes or lets its deadline pass before the call is
 * finished, a reply cannot be sent or is not taken, or brig__rpc_close() is called. The call
 * must still be finished, there or later. */
void brig__rpc_on_cancel(struct rpc_call *call,
                         void (*cancelled)(struct rpc_call *call, void *context), void *context);
bool brig__rpc_is_cancelled(const struct rpc_call *call);

/* Send a reply; copied. Any number of them before the end of the call. One that does not fit
 * into max_buffered_bytes ends the call with RESOURCE_EXHAUSTED: it is cancelled. */
void brig__rpc_send(struct rpc_call *call, const ProtobufCMessage *reply);
/* How much of it is not yet on its way: one who sends much waits for it to be less. */
uint64_t brig__rpc_unsent(const struct rpc_call *call);
/* End it: `message` is for people, UTF-8, NULL for none. `call` is gone then. */
void brig__rpc_finish(struct rpc_call *call, enum rpc_status status, const char *message);
/* Both of them, for a method that has one reply. */
void brig__rpc_reply(struct rpc_call *call, const ProtobufCMessage *reply);

/* From any thread: have `run` called on the loop's thread. 0 or -ENOMEM. */
int brig__rpc_post(struct rpc_server *server, void (*run)(void *context), void *context);

#endif
