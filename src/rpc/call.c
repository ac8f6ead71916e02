#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fd.h"
#include "rpc/headers.h"
#include "rpc/internal.h"
#include "rpc/message_check.h"

#define PREFIX_BYTES 5 /* before a message: whether it is compressed, and its length */

static void on_deadline(evutil_socket_t fd, short what, void *context);
static void on_stall(evutil_socket_t fd, short what, void *context);

struct rpc_call *brig__rpc_call_begin(struct rpc_connection *connection, int32_t stream) {
  struct event_base *base = connection->server->base;
  struct rpc_call *call = calloc(1, sizeof *call);
  if (call == NULL) return NULL;
  call->connection = connection;
  call->stream = stream;
  call->peer = connection->peer;
  call->begun_us = brig__now_us();
  call->deadline_us = UINT64_MAX;
  evtimer_assign(&call->deadline, base, on_deadline, call);
  evtimer_assign(&call->stall, base, on_stall, call);
  LIST_INSERT_HEAD(&connection->calls, call, link);
  connection->call_count++;
  connection->server->counts.calls++;
  return call;
}

static void report(struct rpc_call *call, enum rpc_status status) {
  const struct rpc_settings *settings = &call->connection->server->settings;
  if (call->reported || call->method == NULL) return;
  call->reported = true;
  if (settings->ended != NULL) settings->ended(settings->context, call, status);
}

/* Both halves are done with it. */
static void call_free(struct rpc_call *call) {
  struct rpc_connection *connection = call->connection;
  free(call->authorization);
  free(call->message);
  free(call);
  connection->call_count--;
  connection->server->counts.calls--;
  brig__rpc_server_less(connection->server);
  brig__rpc_connection_release(connection);
}

/* Tell the handler, who may finish it then and there. */
static void cancel(struct rpc_call *call) {
  if (call->cancelled) return;
  call->cancelled = true;
  if (call->on_cancel != NULL) call->on_cancel(call, call->on_cancel_context);
}

void brig__rpc_call_closed(struct rpc_call *call) {
  LIST_REMOVE(call, link);
  call->stream = 0;
  event_del(&call->deadline);
  event_del(&call->stall);
  brig__rpc_buffer_free(STEAL_PTR(call->in));
  brig__rpc_buffer_free(STEAL_PTR(call->out));
  if (call->handed) {
    cancel(call);
    return;
  }
  report(call, call->answered ? call->status : RPC_CANCELLED);
  call_free(call);
}

void brig__rpc_abort(struct rpc_call *call, enum rpc_status status, const char *message) {
  brig__rpc_end(call, status, message);
  if (call->handed)
    cancel(call);
  else
    report(call, status);
}

static void on_deadline(evutil_socket_t fd, short what, void *context) {
  (void)fd, (void)what;
  brig__rpc_abort(context, RPC_DEADLINE_EXCEEDED, "the deadline has passed");
}

/* Nothing moved, though something should: a request that does not come, or a reply that is
 * not taken. */
static void on_stall(evutil_socket_t fd, short what, void *context) {
  struct rpc_call *call = context;
  (void)fd, (void)what;
  if (call->moved && call->out != NULL && evbuffer_get_length(call->out) > 0) {
    brig__rpc_call_expect(call);
  } else if (!call->replied) {
    brig__rpc_abort(call, RPC_DEADLINE_EXCEEDED, "the request was not completed");
  } else {
    nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE, call->stream,
                              NGHTTP2_CANCEL);
    brig__rpc_connection_flush(call->connection);
  }
}

void brig__rpc_call_expect(struct rpc_call *call) {
  call->moved = false;
  brig__rpc_timer_set(&call->stall, call->connection->server->settings.idle_us);
}

/* Its headers. */

static bool is(const char *text, size_t size, const char *word) {
  return size == strlen(word) && memcmp(text, word, size) == 0;
}

static void find_method(struct rpc_call *call, const char *path, size_t size) {
  const struct rpc_settings *settings = &call->connection->server->settings;
  for (size_t i = 0; i < settings->method_count; i++)
    if (brig__rpc_path_is(path, size, settings->methods[i].service, settings->methods[i].name))
      call->method = &settings->methods[i];
}

void brig__rpc_call_header(struct rpc_call *call, const char *name, size_t name_size,
                           const char *value, size_t size) {
  call->header_bytes += name_size + size + 32; /* as HTTP/2 counts */
  if (call->headers_done || call->header_bytes > HEADER_BYTES) return;
  if (is(name, name_size, ":path")) {
    find_method(call, value, size);
  } else if (is(name, name_size, ":method")) {
    call->post = is(value, size, "POST");
  } else if (is(name, name_size, "content-type")) {
    call->grpc = brig__rpc_is_grpc(value, size);
  } else if (is(name, name_size, "grpc-timeout")) {
    uint64_t timeout_us;
    if (brig__rpc_timeout(value, size, &timeout_us) == 0)
      call->deadline_us = call->begun_us + timeout_us;
    else
      call->bad_timeout = true;
  } else if (is(name, name_size, "grpc-encoding")) {
    call->encoded = !is(value, size, "identity");
  } else if (is(name, name_size, "authorization")) {
    call->ambiguous = call->authorization != NULL;
    free(call->authorization);
    call->peer.authorization = call->authorization = strndup(value, size);
  }
}

/* What its headers alone make of it. */
static enum rpc_status judge(struct rpc_call *call, const char **ret_message) {
  const struct rpc_connection *connection = call->connection;
  const struct rpc_settings *settings = &connection->server->settings;
  if (call->header_bytes > HEADER_BYTES) {
    *ret_message = "the headers are too large";
    return RPC_RESOURCE_EXHAUSTED;
  }
  if (call->method == NULL) {
    *ret_message = "there is no such method";
    return RPC_UNIMPLEMENTED;
  }
  if (call->bad_timeout) {
    *ret_message = "grpc-timeout is malformed";
    return RPC_INTERNAL;
  }
  if (call->encoded) {
    *ret_message = "messages are not decompressed here: grpc-encoding must be identity";
    return RPC_UNIMPLEMENTED;
  }
  if (call->ambiguous) {
    *ret_message = "more than one authorization header";
    return RPC_UNAUTHENTICATED;
  }
  if (connection->call_count > settings->max_calls_per_connection) {
    *ret_message = "calls of this connection that were cancelled are not over yet";
    return RPC_RESOURCE_EXHAUSTED;
  }
  return settings->admit == NULL ? RPC_OK
                                 : settings->admit(settings->context, &call->peer, call->method,
                                                   &call->caller, ret_message);
}

static void set_deadline(struct rpc_call *call) {
  uint64_t now = brig__now_us();
  if (call->deadline_us == UINT64_MAX) return;
  brig__rpc_timer_set(&call->deadline, call->deadline_us > now ? call->deadline_us - now : 1);
}

void brig__rpc_call_headers_done(struct rpc_call *call) {
  const char *message = NULL;
  call->headers_done = true;
  if (!call->post || !call->grpc) {
    brig__rpc_refuse_http(call, call->post ? "415" : "405");
    return;
  }
  enum rpc_status status = judge(call, &message);
  if (status != RPC_OK) {
    brig__rpc_abort(call, status, message);
    return;
  }
  set_deadline(call);
  if (!call->method->client_streams) brig__rpc_call_expect(call);
}

/* Its messages. */

static void count_kept(struct rpc_call *call, size_t size) {
  call->connection->server->counts.buffered_bytes += size - call->kept_bytes;
  call->kept_bytes = size;
}

static void deliver(struct rpc_call *call, const uint8_t *data, size_t size) {
  const struct rpc_method *method = call->method;
  const char *reason = NULL;
  enum rpc_status status = brig__rpc_check_message(
      method->request, data, size, call->connection->server->settings.max_parts, &reason);
  ProtobufCMessage *request =
      status == RPC_OK ? protobuf_c_message_unpack(method->request, NULL, size, data) : NULL;
  if (request == NULL) {
    brig__rpc_abort(call, status == RPC_OK ? RPC_INTERNAL : status,
                    reason != NULL ? reason : "a field is not of its type");
    return;
  }
  call->handed = true;
  call->keeps_request = false;
  call->next_bytes = size;
  method->message(call, method->context, request);
  if (!call->keeps_request) protobuf_c_message_free_unpacked(request, NULL);
}

/* The size of the message that comes next in `in`; false if that is not known yet, or the
 * call ended over it. */
static bool announced(struct rpc_call *call, size_t *ret_size) {
  uint8_t prefix[PREFIX_BYTES];
  size_t size = 0;
  if (evbuffer_copyout(call->in, prefix, sizeof prefix) < PREFIX_BYTES) return false;
  for (size_t i = 1; i < PREFIX_BYTES; i++) size = size << 8 | prefix[i];
  if (prefix[0] != 0) {
    brig__rpc_abort(call, RPC_INTERNAL, "a message is compressed, against what the headers say");
  } else if (size > call->connection->server->settings.max_request_bytes) {
    brig__rpc_abort(call, RPC_RESOURCE_EXHAUSTED, "the message is larger than this server takes");
  } else {
    *ret_size = size;
    return true;
  }
  return false;
}

/* The first message in `in`, if it is complete. */
static bool take_message(struct rpc_call *call) {
  size_t size;
  if (call->in == NULL || !announced(call, &size) ||
      evbuffer_get_length(call->in) - PREFIX_BYTES < size)
    return false;
  evbuffer_drain(call->in, PREFIX_BYTES);
  const uint8_t *data = evbuffer_pullup(call->in, (ev_ssize_t)size);
  if (size > 0 && data == NULL) {
    brig__rpc_abort(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
    return false;
  }
  deliver(call, data, size);
  if (call->in != NULL) evbuffer_drain(call->in, size);
  return true;
}

static void take_stream(struct rpc_call *call) {
  while (take_message(call)) continue;
  if (call->answered) return;
  if (evbuffer_get_length(call->in) > 0)
    brig__rpc_call_expect(call);
  else if (call->out == NULL || evbuffer_get_length(call->out) == 0)
    event_del(&call->stall);
}

void brig__rpc_call_data(struct rpc_call *call, const uint8_t *data, size_t size) {
  const struct rpc_server *server = call->connection->server;
  size_t length;
  if (call->answered) return; /* and what it sends yet is passed over */
  if (call->in == NULL) call->in = brig__rpc_buffer_new(call->connection);
  if (call->in == NULL || evbuffer_add(call->in, data, size) < 0 ||
      server->counts.buffered_bytes > server->settings.max_buffered_bytes) {
    brig__rpc_abort(call, RPC_RESOURCE_EXHAUSTED, "the server holds too much already");
  } else if (call->method->client_streams) {
    take_stream(call);
  } else if (announced(call, &length) && evbuffer_get_length(call->in) - PREFIX_BYTES > length) {
    brig__rpc_abort(call, RPC_INTERNAL, "more than one message, for a method that takes one");
  }
}

void brig__rpc_call_half_closed(struct rpc_call *call) {
  call->half_closed = true;
  if (call->answered) return;
  bool streams = call->method->client_streams;
  if (!streams) event_del(&call->stall);
  if (!streams && take_message(call)) return;
  if (call->answered) return;
  if (!streams || (call->in != NULL && evbuffer_get_length(call->in) > 0)) {
    brig__rpc_abort(call, RPC_INTERNAL, "the request ends before its message does");
  } else if (call->method->half_closed != NULL) {
    call->handed = true;
    call->method->half_closed(call, call->method->context);
  } else {
    call->handed = true;
    brig__rpc_finish(call, RPC_OK, NULL);
  }
}

/* What handlers ask and tell. */

const struct rpc_method *brig__rpc_call_method(const struct rpc_call *call) { return call->method; }
const struct rpc_peer *brig__rpc_call_peer(const struct rpc_call *call) { return &call->peer; }
void *brig__rpc_call_caller(const struct rpc_call *call) { return call->caller; }
uint64_t brig__rpc_call_begun_us(const struct rpc_call *call) { return call->begun_us; }
uint64_t brig__rpc_call_deadline_us(const struct rpc_call *call) { return call->deadline_us; }
void brig__rpc_keep_request(struct rpc_call *call) {
  call->keeps_request = true;
  count_kept(call, call->kept_bytes + call->next_bytes);
}
bool brig__rpc_is_cancelled(const struct rpc_call *call) { return call->cancelled; }

void brig__rpc_on_cancel(struct rpc_call *call,
                         void (*cancelled)(struct rpc_call *call, void *context), void *context) {
  call->on_cancel = cancelled;
  call->on_cancel_context = context;
}

void brig__rpc_finish(struct rpc_call *call, enum rpc_status status, const char *message) {
  brig__rpc_end(call, status, message);
  report(call, call->answered ? call->status : status);
  count_kept(call, 0);
  call->handed = false;
  if (call->stream == 0) call_free(call);
}
