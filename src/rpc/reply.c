#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "rpc/headers.h"
#include "rpc/internal.h"

#define PREFIX_BYTES 5

static nghttp2_nv header(const char *name, const char *value) {
  return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                      NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

/* The headers of each response; the trailers may follow in the same block. */
static size_t put_headers(nghttp2_nv *headers) {
  headers[0] = header(":status", "200");
  headers[1] = header("content-type", "application/grpc");
  headers[2] = header("grpc-accept-encoding", "identity");
  return 3;
}
#define HEADERS 3

static size_t put_trailers(const struct rpc_call *call, nghttp2_nv *headers, char number[4]) {
  unsigned status = (unsigned)call->status;
  size_t at = 0;
  if (status >= 10) number[at++] = (char)('0' + status / 10);
  number[at++] = (char)('0' + status % 10);
  number[at] = '\0';
  headers[0] = header("grpc-status", number);
  if (call->message == NULL) return 1;
  headers[1] = header("grpc-message", call->message);
  return 2;
}
#define TRAILERS 2

/* nghttp2 cannot go on without memory for its frames. */
static void submitted(struct rpc_call *call, int rc) {
  if (rc != 0) nghttp2_session_terminate_session(call->connection->session, NGHTTP2_INTERNAL_ERROR);
  brig__rpc_connection_flush(call->connection);
}

void brig__rpc_refuse_http(struct rpc_call *call, const char *http_status) {
  nghttp2_nv headers[] = {header(":status", http_status)};
  call->answered = true;
  call->status = RPC_UNKNOWN;
  submitted(call,
            nghttp2_submit_response(call->connection->session, call->stream, headers, 1, NULL));
}

static ssize_t read_out(nghttp2_session *session, int32_t stream, uint8_t *to, size_t size,
                        uint32_t *flags, nghttp2_data_source *source, void *context) {
  struct rpc_call *call = source->ptr;
  nghttp2_nv trailers[TRAILERS];
  char number[4];
  (void)context;
  int taken = call->out == NULL ? 0 : evbuffer_remove(call->out, to, size);
  if (taken < 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (taken > 0) call->moved = true;
  if (call->out != NULL && evbuffer_get_length(call->out) > 0) return taken;
  event_del(&call->stall);
  if (!call->answered) return taken > 0 ? taken : NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  size_t count = put_trailers(call, trailers, number);
  if (nghttp2_submit_trailer(session, stream, trailers, count) != 0)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  return taken;
}

void brig__rpc_end(struct rpc_call *call, enum rpc_status status, const char *message) {
  if (call->answered || call->stream == 0) return;
  call->answered = true;
  call->status = status;
  /* Without memory for the message there is none. */
  if (message != NULL) call->message = brig__rpc_percent_encode(message);
  brig__rpc_buffer_free(STEAL_PTR(call->in));
  event_del(&call->deadline);
  if (call->replied) {
    nghttp2_session_resume_data(call->connection->session, call->stream);
    submitted(call, 0);
    return;
  }
  nghttp2_nv headers[HEADERS + TRAILERS];
  char number[4];
  size_t count = put_headers(headers);
  event_del(&call->stall);
  count += put_trailers(call, headers + count, number);
  submitted(call,
            nghttp2_submit_response(call->connection->session, call->stream, headers, count, NULL));
}

/* The message behind its prefix, at the end of `out`. */
static int pack(struct rpc_call *call, const ProtobufCMessage *reply) {
  size_t size = protobuf_c_message_get_packed_size(reply);
  struct evbuffer_iovec space;
  if (size > UINT32_MAX ||
      evbuffer_reserve_space(call->out, (ev_ssize_t)(size + PREFIX_BYTES), &space, 1) != 1)
    return -1;
  uint8_t *at = space.iov_base;
  at[0] = 0;
  for (size_t i = 1; i < PREFIX_BYTES; i++) at[i] = (uint8_t)(size >> 8 * (PREFIX_BYTES - 1 - i));
  protobuf_c_message_pack(reply, at + PREFIX_BYTES);
  space.iov_len = size + PREFIX_BYTES;
  return evbuffer_commit_space(call->out, &space, 1);
}

static void begin_reply(struct rpc_call *call) {
  nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_out};
  nghttp2_nv headers[HEADERS];
  size_t count = put_headers(headers);
  call->replied = true;
  submitted(call, nghttp2_submit_response(call->connection->session, call->stream, headers, count,
                                          &provider));
}

void brig__rpc_send(struct rpc_call *call, const ProtobufCMessage *reply) {
  const struct rpc_server *server = call->connection->server;
  if (call->answered || call->stream == 0) return;
  if (call->out == NULL) call->out = brig__rpc_buffer_new(call->connection);
  if (call->out == NULL || pack(call, reply) < 0 ||
      server->counts.buffered_bytes > server->settings.max_buffered_bytes) {
    brig__rpc_abort(call, RPC_RESOURCE_EXHAUSTED, "the server holds too much already");
    return;
  }
  if (!event_pending(&call->stall, EV_TIMEOUT, NULL)) brig__rpc_call_expect(call);
  if (!call->replied) {
    begin_reply(call);
  } else {
    nghttp2_session_resume_data(call->connection->session, call->stream);
    submitted(call, 0);
  }
}

uint64_t brig__rpc_unsent(const struct rpc_call *call) {
  return call->out == NULL ? 0 : evbuffer_get_length(call->out);
}

void brig__rpc_reply(struct rpc_call *call, const ProtobufCMessage *reply) {
  brig__rpc_send(call, reply);
  brig__rpc_finish(call, RPC_OK, NULL);
}
